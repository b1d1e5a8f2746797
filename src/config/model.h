#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "base/time.h"
#include "x509/alt_name.h"
#include "x509/certificate.h"

/// Typed configuration: what the rest of the house reads. Made by config::parse from IOS text;
/// printed back by config::running_config. Values that were not given hold the default.
namespace umbra::config {

enum class Grant { manual, automatic, none, trustpoints };
enum class DatabaseLevel { minimum, names, complete };
enum class ArchiveFormat { pkcs12, pem };
enum class HashName { md5, sha1, sha256, sha384, sha512 };

/// The files a certificate server publishes. Stored numbers: never renumber.
enum class FileType : std::uint8_t { cnm = 0, crl = 1, crt = 2, p12 = 3, pem = 4, ser = 5 };

/// Where files are published: `database url ...`, with the account there.
struct FilePlace {
  std::string url = "nvram:";           ///< as typed; never with an account in it
  std::string username;                 ///< empty = none
  std::optional<std::string> password;  ///< in the clear; never printed or logged

  friend auto operator<=>(const FilePlace&, const FilePlace&) = default;
};

/// `mode`: a certificate server that is no root lives by the trustpoint of its own name.
enum class ServerMode { root, subordinate, ra, ra_transparent };

/// Where connections come from.
struct From {
  std::string source;  ///< `source interface`: an interface or an address of this host; or empty
  std::string vrf;     ///< the VRF device; or empty

  friend bool operator==(const From&, const From&) = default;
};

/// How a registration authority reaches the CA above it: what its trustpoint says of that.
struct Upstream {
  std::string url;
  std::vector<std::string> more_urls{};  ///< other servers of the same CA, tried in turn
  From from{};
  bool allow_des = false;
  bool allow_md5 = false;
  HashName hash = HashName::sha256;
  bool unchecked = false;  ///< `revocation-check none`: who signs a renewal counts without a CRL

  friend bool operator==(const Upstream&, const Upstream&) = default;
};

struct Server {
  std::string name;
  ServerMode mode = ServerMode::root;
  std::optional<Upstream> upstream;  ///< of a registration authority
  std::string issuer_name;  ///< as typed; CN=NAME if not given. A registration authority's own name
  Grant grant = Grant::manual;
  /// `grant auto trustpoint` and `tp-list`: whose CAs' certificates vouch for a request.
  std::vector<std::string> grant_trustpoints;
  bool grant_ra_auto = false;           ///< what an RA of ours signed
  bool grant_rollover_ca_cert = false;  ///< shadow requests of subordinate CAs
  bool grant_rollover_ra_cert = false;  ///< shadow requests of RAs
  Seconds lifetime_ca_certificate = Days{1095};
  Seconds lifetime_certificate = Days{365};
  std::optional<Seconds> lifetime_subordinate_ca;  ///< nothing = lifetime_certificate
  Seconds lifetime_crl = std::chrono::hours{6};
  Seconds lifetime_enrollment_request = std::chrono::hours{168};
  Seconds renewal_grace{};  ///< how long after its end a certificate may still sign its renewal
  std::optional<Seconds> auto_rollover;  ///< the overlap
  std::string auto_rollover_text;        ///< as typed, for the status screen: "90" or "1 2 3"
  DatabaseLevel database_level = DatabaseLevel::minimum;
  ArchiveFormat archive_format = ArchiveFormat::pkcs12;
  std::optional<std::string> archive_password;    ///< in the clear; never printed or logged
  FilePlace database;                             ///< `database url`: of all files
  std::map<FileType, FilePlace> database_of;      ///< `database url TYPE`: of these instead
  std::map<FileType, FilePlace> database_copies;  ///< `database url TYPE publish`: besides
  std::string database_username;  ///< `database username`: for places that name no account
  std::optional<std::string> database_password;
  bool database_strict = false;  ///< nothing is issued while its files cannot be written
  HashName hash = HashName::sha256;
  int modulus = 2048;          ///< of the CA key; `rsa-1024` needs `allow legacy rsa-1024`
  std::optional<int> ec_bits;  ///< `keytype ec`: the CA key is on P-256 or P-384, and no RSA key
  std::string cdp_url;
  std::vector<x509::KeyPurpose> eku;          ///< of issued certificates, in the order typed
  std::optional<std::uint64_t> serial_start;  ///< the last serial used before the first one
  bool serial_random = false;
  bool copy_alt_names = true;
  std::optional<std::string>
      challenge_password;  ///< static challenge; in the clear; never printed or logged
  bool allow_des = false;
  bool allow_md5 = false;
  bool allow_rsa_1024 = false;
  bool allow_sha1 = true;  ///< `no allow sha1` switches it off
  bool shutdown = true;

  friend bool operator==(const Server&, const Server&) = default;
};

/// Whose certificate a trustpoint asks for.
enum class Role {
  device,
  subordinate_ca,  ///< the CA certificate of the certificate server of the same name
  ra,              ///< the certificate of the RA of the same name
};

/// Where other programs find a trustpoint's certificates, and who may read the key.
struct Storage {
  std::string path;  ///< the directory of `storage pem`, the file of `storage pkcs12`; empty = none
  std::string owner;         ///< empty = the daemon's user
  std::string group;         ///< empty = the daemon's group
  unsigned mode = 0600;      ///< of every file that holds the key
  bool rollover_ca = false;  ///< `include rollover-ca`: the next CA is trusted before its second

  friend bool operator==(const Storage&, const Storage&) = default;
};

struct Trustpoint {
  std::string name;
  Role role = Role::device;
  std::optional<Seconds> overlap;  ///< of a subordinate CA: the server's auto-rollover
  bool relays = false;             ///< of a transparent RA: has a CA, and no certificate of its own
  std::string enrollment_url;
  std::vector<std::string> more_urls;  ///< of the same CA: tried in turn where one gives no answer
  std::string ca_identifier;           ///< what GetCACert asks for; empty = the trustpoint's name
  bool mode_ra = false;                ///< `enrollment mode ra`: a CA without an RA is refused
  std::string credential;  ///< of a profile: the trustpoint whose certificate signs first requests
  std::string authentication_url;     ///< of an enrollment profile: where GetCACert goes instead
  bool authenticate_by_hand = false;  ///< the CA certificate is pasted, whatever the URL
  bool terminal = false;              ///< `enrollment terminal`: requests are carried by people
  bool terminal_pem = false;          ///< ... with PEM boundaries
  bool selfsigned = false;            ///< `enrollment selfsigned`: it is its own CA
  From from;
  int retry_count = 999;  ///< 0 = no limit
  Seconds retry_period = std::chrono::minutes{1};
  Seconds spread{10};                     ///< calls that a timer makes leave at random within it
  std::string subject_name;               ///< as typed; empty = FQDN only
  bool serial_number = false;             ///< `serial-number`: include the board's serial
  std::optional<std::string> ip_address;  ///< nothing = none
  std::string ip_interface;               ///< whose address that is to be; or empty
  std::optional<std::string> fqdn;        ///< nothing = hostname.domain; "none" = leave out
  bool fqdn_none = false;
  std::optional<std::string> password;        ///< challenge; in the clear; never printed or logged
  std::vector<x509::AltName> alt_names;       ///< `subject-alt-name`
  std::vector<x509::KeyPurpose> eku_request;  ///< `eku request`
  std::vector<x509::KeyPurpose> usage;        ///< `usage`: asked for where `eku request` is silent
  std::vector<std::string> revocation_check = {"crl"};
  std::string ocsp_url;                  ///< empty = as certificates say
  std::optional<Seconds> crl_cache_max;  ///< `crl cache delete-after`; 0 = none is kept
  Seconds crl_cache_extend{0};           ///< how long a CRL counts beyond its end
  std::string key_label;                 ///< rsakeypair; empty = FQDN
  int modulus = 2048;
  bool ec_key = false;             ///< `eckeypair`: P-256 in place of RSA
  std::optional<int> auto_enroll;  ///< percent; `auto-enroll` alone is 100
  bool regenerate = false;
  std::string fingerprint;  ///< hex without blanks: 32 (MD5), 40 (SHA-1) or 64 (SHA-256) digits
  HashName hash = HashName::sha256;
  bool allow_des = false;           ///< `allow legacy des`: for micromdm's answers
  bool allow_flat_next_ca = false;  ///< GetNextCACert whose signature covers no certificate
  bool allow_md5 = false;
  bool allow_rsa_1024 = false;
  Storage storage_pem;
  Storage storage_pkcs12;
  std::string pkcs12_password;            ///< seals the file of `storage pkcs12`; never logged
  std::string on_change_exec;             ///< command after each change
  Seconds on_change_limit = Seconds{60};  ///< how long it may take

  friend bool operator==(const Trustpoint&, const Trustpoint&) = default;
};

struct Configuration {
  std::string hostname = "Router";
  std::string domain;
  TimeZone zone;
  bool calendar_valid = false;
  bool http_server = false;
  std::uint16_t http_port = 80;
  std::string http_address;  ///< Umbra's `ip http address`; empty = all
  /// Umbra's `ip http rate-limit`: of one address.
  unsigned http_requests_per_second = 2000;
  unsigned http_requests_burst = 20000;
  /// Umbra's `ip http max-wait`: how long a request may have to wait for its turn.
  std::chrono::milliseconds http_max_wait{2000};
  std::vector<Server> servers;
  std::vector<Trustpoint> trustpoints;

  /// hostname, or hostname.domain where there is a domain.
  [[nodiscard]] std::string fqdn() const {
    return domain.empty() ? hostname : hostname + "." + domain;
  }
  friend bool operator==(const Configuration&, const Configuration&) = default;
};

}  // namespace umbra::config
