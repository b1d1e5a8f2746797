#include <algorithm>
#include <map>
#include <tuple>

#include <fmt/format.h>

#include "config/command_table.h"
#include "config/document.h"
#include "config/settings.h"
#include "x509/name.h"

namespace umbra::config {
namespace {

/// By this in its name IOS knows a registration authority.
constexpr std::string_view ra_unit = "ioscs RA";
constexpr int ra_enroll_percent = 50;

/// Commands of a server that issues certificates.
constexpr std::string_view cas_alone[] = {"serial-number",
                                          "database level",
                                          "database archive",
                                          "lifetime crl",
                                          "lifetime certificate",
                                          "lifetime ca-certificate",
                                          "cdp-url",
                                          "lifetime subordinate-ca",
                                          "auto-rollover",
                                          "eku",
                                          "database url",
                                          "database url TYPE",
                                          "database username",
                                          "database strict",
                                          "hash",
                                          "grant auto rollover"};
/// Commands of a server that opens requests.
constexpr std::string_view judges_alone[] = {"grant",
                                             "lifetime enrollment-request",
                                             "challenge password",
                                             "renewal grace",
                                             "allow legacy",
                                             "allow sha1",
                                             "subject-alt-name",
                                             "modulus"};

class Assembler {
 public:
  Assembler(const Document& document, Parsed& parsed) : document_(document), parsed_(parsed) {}

  void run() {
    apply(document_.global, nullptr, nullptr);
    for (const Block& block : document_.profiles) apply(block, nullptr, &profiles_[block.name]);
    for (const Block& block : document_.servers) server(block);
    for (const Block& block : document_.trustpoints) trustpoint(block);
    for (const Block& block : document_.chains) {
      parsed_.chains.push_back(block.chain);
      note(block.line, fmt::format("crypto pki certificate chain {}", block.name));
    }
    for (const Entry& entry : document_.actions) {
      note(entry.line, render(entry.match, entry.on, Secrets::left_out));
    }
    using In = SettingLine::In;
    where_settings_stand(In::global, document_.global);
    for (const Block& block : document_.servers) where_settings_stand(In::server, block);
    for (const Block& block : document_.trustpoints) where_settings_stand(In::trustpoint, block);
    find_collisions(document_, parsed_);
    parsed_.running_config = running_config(document_);
    std::stable_sort(parsed_.not_effective.begin(), parsed_.not_effective.end(),
                     [](const auto& a, const auto& b) { return a.line < b.line; });
    std::stable_sort(parsed_.faults.begin(), parsed_.faults.end(),
                     [](const auto& a, const auto& b) { return a.line < b.line; });
    std::stable_sort(parsed_.lines.begin(), parsed_.lines.end(), [](const auto& a, const auto& b) {
      return std::tie(a.in, a.block) < std::tie(b.in, b.block);
    });
  }

 private:
  void note(std::size_t line, std::string text) {
    parsed_.not_effective.push_back({line, std::move(text)});
  }

  template <class... Where>
  void fault(const Where&... where) {
    parsed_.faults.push_back(fault_at(where...));
  }

  void where_settings_stand(SettingLine::In in, const Block& block) {
    if (in != SettingLine::In::global)
      parsed_.lines.push_back({in, block.name, "", block.line, hide_secrets(block.source)});
    for (const Entry& entry : block.entries) {
      parsed_.lines.push_back({in, block.name, std::string(entry.match.command->key), entry.line,
                               render(entry.match, entry.on, Secrets::left_out)});
    }
  }

  void apply(const Block& block, Server* server, Trustpoint* trustpoint) {
    for (const Entry& entry : block.entries) {
      const Command& command = *entry.match.command;
      bool effective = command.apply != nullptr;
      if (command.apply) {
        Setting setting(entry.match, entry.on, parsed_.configuration, server, trustpoint);
        command.apply(setting);
        effective = setting.effective();
        if (const auto& complaint = setting.complaint()) {
          if (complaint->offset) {
            parsed_.faults.push_back(make_fault(entry.line, entry.source, *complaint->offset,
                                                complaint->what, complaint->hint));
          } else {
            fault(entry, complaint->argument, complaint->what, complaint->hint);
          }
        }
      }
      const std::string text = render(entry.match, entry.on, Secrets::left_out);
      if (!effective && text != command.otherwise) note(entry.line, text);
    }
  }

  /// What both kinds of block refuse unless `allow legacy` asks for it.
  template <class T>
  void weak_things(const Block& block, const T& made, std::string_view size_key,
                   std::string_view size_argument) {
    if (const Entry* entry = find(block, "hash")) {
      if (made.hash == HashName::md5 && !made.allow_md5) {
        fault(*entry, "", "MD5 signatures can be forged and are refused",
              "expected: hash sha256; or, for old peers, \"allow legacy md5\" in the same block");
      }
    }
    const Entry* const entry = find(block, size_key);
    if (!entry || made.modulus >= 2048) return;
    if (made.modulus < 1024) {
      fault(*entry, size_argument, fmt::format("an RSA key of {} bits is refused", made.modulus),
            "expected: 2048 bits or more");
    } else if (!made.allow_rsa_1024) {
      fault(*entry, size_argument, fmt::format("an RSA key of {} bits is too weak", made.modulus),
            "expected: 2048 bits or more; or, for old peers, \"allow legacy rsa-1024\" in the same "
            "block");
    }
  }

  void elliptic(const Block& block, Server& made) {
    if (!made.ec_bits) return;
    if (const Entry* modulus = find(block, "modulus")) {
      fault(*modulus, "BITS", "an EC key has no modulus",
            "expected: either \"modulus\" or \"keytype ec\"");
    }
    const Entry* const hash = find(block, "hash");
    if (!hash && *made.ec_bits == 384) made.hash = HashName::sha384;
    if (hash && made.hash == HashName::md5) {
      fault(*hash, "", "there is no ECDSA with MD5", "expected: hash sha256, or an RSA key");
    }
  }

  void server(const Block& block) {
    Server& made = parsed_.configuration.servers.emplace_back();
    made.name = block.name;
    made.issuer_name = "CN=" + block.name;
    apply(block, &made, nullptr);
    weak_things(block, made, "modulus", "BITS");
    elliptic(block, made);
    granting_trustpoints(block, made);
    upper_ca(block, made);
    issues_nothing(block, made);
    if (made.hash == HashName::sha1 && !made.allow_sha1) {
      fault(*find(block, "hash"), "", "hash sha1 contradicts \"no allow sha1\"",
            "expected: hash sha256, or no \"no allow sha1\"");
    }
    if (made.auto_rollover && *made.auto_rollover >= made.lifetime_ca_certificate) {
      fault(*find(block, "auto-rollover"), "DAYS",
            "the overlap is not shorter than the life of the CA certificate",
            fmt::format(
                "expected: less than {} days (lifetime ca-certificate)",
                std::chrono::duration<double, Days::period>(made.lifetime_ca_certificate).count()));
    }
  }

  static const Block* block_of(const std::vector<Block>& blocks, const std::string& name) {
    const auto found = std::find_if(blocks.begin(), blocks.end(),
                                    [&](const Block& block) { return block.name == name; });
    return found == blocks.end() ? nullptr : &*found;
  }

  /// What is no root has a trustpoint of its own name that says where the upper CA is.
  void upper_ca(const Block& block, Server& made) {
    if (made.mode == ServerMode::root) return;
    if (made.ec_bits) {
      fault(*find(block, "keytype"), "", "a server with a CA above it has an RSA key",
            "expected: no \"keytype ec\" here; its certificate is asked for by SCEP, whose answers "
            "are enveloped for RSA keys");
    }
    const Block* const own = block_of(document_.trustpoints, made.name);
    if (own && find(*own, "enrollment url")) return;
    if (made.shutdown) {
      // It may be typed before its trustpoint: until it is started it asks nobody.
      if (made.mode != ServerMode::subordinate) made.upstream = Upstream{};
      return;
    }
    fault(*find(block, "mode"), "", fmt::format("{} has no upper CA", made.name),
          fmt::format("expected: \"crypto pki trustpoint {}\" with the \"enrollment url\" of the "
                      "CA above it",
                      made.name));
  }

  static bool same_name(const std::string& a, const std::string& b) {
    const auto left = x509::Name::from_ios(a);
    const auto right = x509::Name::from_ios(b);
    return left && right && *left == *right;
  }

  /// The trustpoint of a certificate server that is no root: it asks the upper CA for the server's
  /// own certificate, as the server says.
  void of_server(const Block& block, Server& server) {
    Trustpoint& made = parsed_.configuration.trustpoints.emplace_back();
    made.name = block.name;
    apply(block, nullptr, &made);
    weak_things(block, made, "rsakeypair", "SIZE");
    no_key_in_the_clear(block, server);
    const Entry* const subject = find(block, "subject-name");
    const Block& servers = *block_of(document_.servers, server.name);
    if (!subject) {
      made.subject_name = server.issuer_name;
    } else if (!find(servers, "issuer-name")) {
      server.issuer_name = made.subject_name;
    } else if (!same_name(made.subject_name, server.issuer_name)) {
      fault(*subject, "DN", "the server's issuer-name says something else",
            fmt::format("expected: {}, or one of the two lines only", server.issuer_name));
    }
    made.role = Role::subordinate_ca;
    made.overlap = server.auto_rollover;
    made.regenerate = true;
    made.modulus = server.modulus;
    made.auto_enroll = 100;
    if (const Entry* automatic = find(block, "auto-enroll"))
      note(automatic->line, "auto-enroll: a subordinate CA's certificate follows auto-rollover");
    as_its_server(made, server);
  }

  void no_key_in_the_clear(const Block& block, const Server& server) {
    const Entry* const pem = find(block, "storage pem");
    if (!pem) return;
    fault(*pem, "",
          fmt::format("the key of certificate server {} is not written in the clear", server.name),
          fmt::format("expected: no \"storage pem\" here{}",
                      server.mode != ServerMode::subordinate
                          ? ""
                          : "; the server's key is archived by \"database archive\""));
  }

  static void as_its_server(Trustpoint& made, const Server& server) {
    made.fqdn_none = true;  // a server's name is what the configuration says, and no more
    made.serial_number = false;
    made.ip_address.reset();
    made.ip_interface.clear();
    if (made.key_label.empty()) made.key_label = server.name;
    if (server.shutdown) made.auto_enroll.reset();  // it asks for nothing until it is started
  }

  /// The trustpoint of a registration authority: a device's, but for its name and its haste.
  void of_ra(const Block& block, Server& server) {
    Trustpoint& made = parsed_.configuration.trustpoints.emplace_back();
    made.name = block.name;
    made.subject_name = fmt::format("CN={}, OU={}", server.name, ra_unit);
    apply(block, nullptr, &made);
    weak_things(block, made, "rsakeypair", "SIZE");
    no_key_in_the_clear(block, server);
    const bool transparent = server.mode == ServerMode::ra_transparent;
    const auto name = x509::Name::from_ios(made.subject_name);
    const bool is_ra = name && (name->has(x509::oid_organizational_unit, ra_unit) ||
                                name->has(x509::oid_common_name, ra_unit));
    if (name && !is_ra && !transparent) {
      fault(*find(block, "subject-name"), "DN", "the CA above knows no RA by this name",
            fmt::format("expected: a name with OU={}; or \"mode ra transparent\", which has no "
                        "certificate of its own",
                        ra_unit));
    }
    made.role = Role::ra;
    if (find(*block_of(document_.servers, server.name), "modulus")) made.modulus = server.modulus;
    if (transparent) {
      if (const Entry* automatic = find(block, "auto-enroll"))
        note(automatic->line, "auto-enroll: a transparent RA has no certificate of its own");
      made.auto_enroll.reset();
      made.relays = !server.shutdown;
    } else if (!made.auto_enroll) {
      // Early: its devices cannot ask for their next certificates before it has its own.
      made.auto_enroll = ra_enroll_percent;
    }
    as_its_server(made, server);
    server.issuer_name = made.subject_name;
    server.upstream = Upstream{
        .url = made.enrollment_url,
        .more_urls = made.more_urls,
        .from = made.from,
        .allow_des = made.allow_des,
        .allow_md5 = made.allow_md5,
        .hash = made.hash,
        .unchecked = !made.revocation_check.empty() && made.revocation_check.front() == "none"};
  }

  /// What a registration authority has no use for is named, and does nothing.
  void issues_nothing(const Block& block, Server& made) {
    const bool transparent = made.mode == ServerMode::ra_transparent;
    if (!transparent && made.mode != ServerMode::ra) return;
    for (const Entry& entry : block.entries) {
      const std::string_view key = entry.match.command->key;
      const auto is_key = [&](std::string_view one) { return one == key; };
      const auto said = [&](std::string_view why) {
        note(entry.line,
             fmt::format("{}: {}", render(entry.match, entry.on, Secrets::left_out), why));
      };
      if (key == "issuer-name") {
        said("an RA issues nothing; its name is the subject-name of its trustpoint");
      } else if (std::any_of(std::begin(cas_alone), std::end(cas_alone), is_key)) {
        said("an RA issues nothing, the CA above it does");
      } else if (made.grant_ra_auto && key == "grant" && entry.match.has("ra-auto")) {
        said("an RA takes no requests of other RAs");
      } else if (transparent &&
                 std::any_of(std::begin(judges_alone), std::end(judges_alone), is_key)) {
        said("a transparent RA passes everything on");
      }
    }
    made.grant_ra_auto = made.grant_rollover_ca_cert = made.grant_rollover_ra_cert = false;
    made.auto_rollover.reset();
    made.auto_rollover_text.clear();
    made.archive_password.reset();
    made.database_level = DatabaseLevel::minimum;
    made.database_copies.clear();
    made.database_strict = false;
    made.serial_start.reset();
    made.serial_random = false;
  }

  /// `grant auto trustpoint` names trustpoints that exist and that a CA can be fetched for.
  void granting_trustpoints(const Block& block, const Server& made) {
    for (const std::string& name : made.grant_trustpoints) {
      const Entry& entry = *find(block, "grant");
      const auto of_this_name = [&](const Block& other) { return other.name == name; };
      if (std::any_of(document_.servers.begin(), document_.servers.end(), of_this_name)) {
        fault(entry, "NAME", fmt::format("{} is a certificate server's own trustpoint", name),
              "expected: another trustpoint, authenticated to the CA that vouches for requests");
      } else if (std::none_of(document_.trustpoints.begin(), document_.trustpoints.end(),
                              of_this_name)) {
        fault(entry, "NAME", fmt::format("there is no trustpoint {}", name),
              fmt::format("expected: \"crypto pki trustpoint {}\" with its \"enrollment url\" in "
                          "this configuration",
                          name));
      }
    }
  }

  void trustpoint(const Block& block) {
    auto& servers = parsed_.configuration.servers;
    const auto own = std::find_if(servers.begin(), servers.end(),
                                  [&](const Server& one) { return one.name == block.name; });
    if (own != servers.end()) {
      if (own->mode == ServerMode::subordinate) return of_server(block, *own);
      if (own->mode != ServerMode::root) return of_ra(block, *own);
      const Entry* const url = find(block, "enrollment url");
      // While it is shut, the next line may say that it is no root.
      if (url && !own->shutdown) {
        fault(*url, "",
              fmt::format("{} is a root certificate server: its trustpoint is the server's "
                          "own, and enrols nowhere",
                          block.name),
              "expected: another name for this trustpoint; or, with a CA above it, \"mode sub-cs\" "
              "in the server");
      } else {
        // IOS makes it by itself and prints it; there is nothing to set on it.
        note(block.line, fmt::format("crypto pki trustpoint {}", block.name));
      }
      return;
    }
    Trustpoint& made = parsed_.configuration.trustpoints.emplace_back();
    made.name = block.name;
    apply(block, nullptr, &made);
    weak_things(block, made, "rsakeypair", "SIZE");
    profile(block, made);
    one_way(block);
    const Entry* const automatic = find(block, "auto-enroll");
    const bool somehow = !made.enrollment_url.empty() || made.terminal || made.selfsigned ||
                         find(block, "enrollment profile");
    if (automatic && !somehow) {
      fault(*automatic, "", "auto-enroll without an enrollment url",
            "expected: \"enrollment url http://HOST\" in this trustpoint");
    } else if (automatic && made.terminal) {
      note(automatic->line, "auto-enroll: people carry the requests of this trustpoint");
    }
    if (made.ec_key && !made.enrollment_url.empty()) {
      fault(*find(block, "eckeypair"), "", "SCEP envelopes its answers for RSA keys alone",
            "expected: \"rsakeypair\"; or \"enrollment terminal\" or \"selfsigned\"");
    }
  }

  /// What its enrollment profile says of how a trustpoint enrols.
  void profile(const Block& block, Trustpoint& made) {
    const Entry* const named = find(block, "enrollment profile");
    if (!named) return;
    const std::string name = named->match.text("NAME");
    const auto found = profiles_.find(name);
    if (found == profiles_.end()) {
      fault(*named, "NAME", fmt::format("there is no enrollment profile {}", name),
            fmt::format("expected: \"crypto pki profile enrollment {}\" in this configuration",
                        name));
      return;
    }
    const Trustpoint& says = found->second;
    if (says.enrollment_url.empty() && !says.terminal) {
      fault(*named, "NAME", fmt::format("enrollment profile {} does not say how to enrol", name),
            "expected: \"enrollment url http://HOST\" or \"enrollment terminal\" in it");
    }
    made.enrollment_url = says.enrollment_url;
    made.more_urls = says.more_urls;
    made.ca_identifier = says.ca_identifier;
    made.authentication_url = says.authentication_url;
    made.authenticate_by_hand = says.authenticate_by_hand;
    made.terminal = says.terminal;
    made.credential = says.credential;
    const auto vouches = [&](const Block& other) { return other.name == made.credential; };
    if (made.credential == made.name) {
      fault(*named, "NAME",
            fmt::format("enrollment profile {} has {} sign its own first request", name, made.name),
            "expected: \"enrollment credential\" with another trustpoint, which has a certificate");
    } else if (!made.credential.empty() &&
               std::none_of(document_.trustpoints.begin(), document_.trustpoints.end(), vouches)) {
      fault(*named, "NAME",
            fmt::format("enrollment profile {} names the trustpoint {}, which is not there", name,
                        made.credential),
            fmt::format("expected: \"crypto pki trustpoint {}\" in this configuration",
                        made.credential));
    }
  }

  void one_way(const Block& block) {
    const Entry* first = nullptr;
    for (const auto* key :
         {"enrollment url", "enrollment terminal", "enrollment selfsigned", "enrollment profile"}) {
      const Entry* const entry = find(block, key);
      if (entry && first) {
        fault(*entry, "", "a trustpoint enrols in one way",
              fmt::format("expected: no \"{}\" here, or no \"{}\"",
                          render(entry->match, true, Secrets::left_out),
                          render(first->match, true, Secrets::left_out)));
      }
      if (entry) first = entry;
    }
  }

  const Document& document_;
  Parsed& parsed_;
  std::map<std::string, Trustpoint> profiles_;  ///< what each enrollment profile sets
};

}  // namespace

void assemble(const Document& document, Parsed& parsed) { Assembler(document, parsed).run(); }

}  // namespace umbra::config
