#include "client/announcement.h"

#include <algorithm>
#include <array>
#include <charconv>
#include <sstream>

#include "x509/pkcs12.h"

namespace umbra::client {
namespace {

constexpr std::string_view none = "-";

std::string mark(const std::optional<x509::Certificate>& certificate) {
  return certificate ? to_hex(certificate->fingerprint(x509::Digest::sha256)) : std::string(none);
}

struct Marks {
  std::string ca, identity, rollover_ca, rollover_identity, end;
  [[nodiscard]] bool same(const Marks& other) const {
    return ca == other.ca && identity == other.identity && rollover_ca == other.rollover_ca &&
           rollover_identity == other.rollover_identity;
  }
};
Marks read_marks(std::string_view text) {
  Marks marks;
  std::istringstream words{std::string(text)};
  words >> marks.ca >> marks.identity >> marks.rollover_ca >> marks.rollover_identity >> marks.end;
  return marks;
}

/// Whom others may trust: the active CA; with `include rollover-ca` the next one as soon as it is
/// known, and the last one after the switch: a peer may be a second early, or late.
std::vector<x509::Certificate> trusted(const State& state, bool include_rollover_ca) {
  std::vector<x509::Certificate> all = {*state.ca};
  if (include_rollover_ca && state.rollover_ca) all.push_back(*state.rollover_ca);
  if (include_rollover_ca && state.previous_ca) all.push_back(*state.previous_ca);
  return all;
}

constexpr std::string_view archive_head = "archive ";
constexpr std::string_view try_head = "archive-try ";
constexpr std::string_view place_head = "archive-place ";
constexpr std::string_view former_key_head = "former-key ";
// Each is of another certificate or configuration: one that lies in a place of years ago is known.
constexpr std::ptrdiff_t archives_max = 32;
constexpr std::ptrdiff_t former_keys_max = 8;

std::string line_of(std::string_view head, ByteView of) {
  return std::string(head) + to_hex(x509::hash(x509::Digest::sha256, of)) + "\n";
}

std::string place_line(const config::Storage& storage) {
  std::string all;
  for (const std::string& one :
       {storage.path, std::to_string(storage.mode), storage.owner, storage.group})
    all += one + '\0';
  return line_of(place_head, as_bytes(all));
}

/// The lines that begin with that head, or all others.
std::string lines_of(std::string_view text, std::string_view line_head, bool having_it = true) {
  std::string lines;
  while (!text.empty()) {
    const std::size_t end = std::min(text.find('\n'), text.size() - 1) + 1;
    if (text.starts_with(line_head) == having_it) lines += text.substr(0, end);
    text.remove_prefix(end);
  }
  return lines;
}

void drop_lines(std::string& text, std::string_view line_head) {
  text = lines_of(text, line_head, false);
}

/// As the last of at most `max` lines of its kind.
void add_line(std::string& text, std::string_view line_head, ByteView of, std::ptrdiff_t max) {
  const std::string line = line_of(line_head, of);
  std::string lines = lines_of(text, line_head);
  if (const auto at = lines.find(line); at != std::string::npos) lines.erase(at, line.size());
  lines += line;
  while (std::count(lines.begin(), lines.end(), '\n') > max) lines.erase(0, lines.find('\n') + 1);
  drop_lines(text, line_head);
  text += lines;
}

std::vector<Bytes> sorted_ders(const std::vector<x509::Certificate>& certificates) {
  std::vector<Bytes> all;
  for (const auto& one : certificates) all.push_back(to_bytes(one.der()));
  std::sort(all.begin(), all.end());
  return all;
}

/// The key that the rollover identity will live on: LABEL#, or LABEL where it keeps its key.
const std::optional<x509::PrivateKey>& rollover_key(const State& state) {
  return state.shadow_key ? state.shadow_key : state.key;
}

}  // namespace

std::string certificates_of(const State& state, const config::Trustpoint& configuration) {
  if (!state.identity || !state.ca || !state.key) return {};
  const bool included =
      configuration.storage_pem.rollover_ca || configuration.storage_pkcs12.rollover_ca;
  return mark(state.ca) + " " + mark(state.identity) + " " + mark(state.rollover_ca) +
         (state.rollover_ca && included ? "+ " : " ") + mark(state.rollover_identity);
}

std::string announcement_of(const State& state, const config::Trustpoint& configuration) {
  const std::string certificates = certificates_of(state, configuration);
  if (certificates.empty()) return {};
  return certificates + " " +
         std::to_string(state.identity->not_after().time_since_epoch().count());
}

std::optional<Time> end_told(std::string_view announced) {
  const std::string end = read_marks(announced).end;
  std::int64_t seconds = 0;
  const auto [stop, error] = std::from_chars(end.data(), end.data() + end.size(), seconds);
  if (end.empty() || error != std::errc{} || stop != end.data() + end.size()) return std::nullopt;
  return Time(Seconds{seconds});
}

std::string event_between(std::string_view announced, std::string_view now) {
  if (now.empty()) return {};
  if (announced.empty()) return "enrolled";
  const Marks before = read_marks(announced);
  const Marks after = read_marks(now);
  if (before.same(after)) return {};
  if (before.ca != after.ca) return "switch-over";
  if (before.identity != after.identity) return "renewed";
  if (before.rollover_identity != after.rollover_identity) return "rollover-identity";
  return "rollover-ca";
}

std::vector<std::pair<std::string, std::string>> variables_of(
    const State& state, const config::Trustpoint& configuration, std::string_view event) {
  std::vector<std::pair<std::string, std::string>> all = {{"UMBRA_TRUSTPOINT", configuration.name},
                                                          {"UMBRA_EVENT", std::string(event)}};
  const auto tell = [&](const std::string& name,
                        const std::optional<x509::Certificate>& certificate) {
    if (!certificate) return;
    all.emplace_back(name + "SERIAL", certificate->serial().to_hex_octets());
    all.emplace_back(name + "NOT_BEFORE", to_rfc3339(certificate->not_before()));
    all.emplace_back(name + "NOT_AFTER", to_rfc3339(certificate->not_after()));
  };
  tell("UMBRA_", state.identity);
  tell("UMBRA_CA_", state.ca);
  tell("UMBRA_ROLLOVER_", state.rollover_identity);
  tell("UMBRA_ROLLOVER_CA_", state.rollover_ca);
  if (!configuration.storage_pem.path.empty())
    all.emplace_back("UMBRA_PEM_DIRECTORY", configuration.storage_pem.path);
  if (!configuration.storage_pkcs12.path.empty())
    all.emplace_back("UMBRA_PKCS12_FILE", configuration.storage_pkcs12.path);
  return all;
}

Result<PemFiles> pem_files(const State& state, bool include_rollover_ca) {
  PemFiles files;
  for (const auto& ca : trusted(state, include_rollover_ca)) files.active.ca += ca.to_pem();
  files.active.cert = state.identity->to_pem();
  files.active.chain = files.active.cert + files.active.ca;
  if (state.previous_ca) files.previous.ca = state.previous_ca->to_pem();
  if (state.rollover_ca) files.rollover.ca = state.rollover_ca->to_pem();
  const auto& next_key = rollover_key(state);
  if (state.rollover_ca && state.rollover_identity && next_key) {
    files.rollover.cert = state.rollover_identity->to_pem();
    files.rollover.chain = files.rollover.cert + files.rollover.ca;
    UMBRA_TRY(files.rollover.key, next_key->to_pem());
  }
  auto key = state.key->to_pem();
  if (!key) {
    wipe_keys(files);
    return tl::unexpected(std::move(key).error());
  }
  files.active.key = *std::move(key);
  return files;
}

void wipe_keys(PemFiles& files) {
  wipe(files.active.key);
  wipe(files.rollover.key);
}

Result<Bytes> active_archive(const State& state, const config::Trustpoint& configuration) {
  return x509::to_pkcs12(*state.key, *state.identity, configuration.name,
                         configuration.pkcs12_password,
                         trusted(state, configuration.storage_pkcs12.rollover_ca));
}

bool is_active_archive(ByteView archive, const State& state,
                       const config::Trustpoint& configuration) {
  if (archive.empty()) return false;
  const auto opened = x509::from_pkcs12(archive, configuration.pkcs12_password);
  return opened && opened->key.public_key() == state.key->public_key() &&
         opened->certificate == *state.identity &&
         sorted_ders(opened->others) ==
             sorted_ders(trusted(state, configuration.storage_pkcs12.rollover_ca));
}

void begin_archive(store::TrustpointRow& row, ByteView archive) {
  add_line(row.held_since, try_head, archive, 1);
}

bool is_on_its_way(const store::TrustpointRow& row, ByteView archive) {
  return lines_of(row.held_since, try_head) == line_of(try_head, archive);
}

void finish_archive(store::TrustpointRow& row, ByteView archive, const config::Storage* storage) {
  drop_lines(row.held_since, try_head);
  drop_lines(row.held_since, place_head);
  add_line(row.held_since, archive_head, archive, archives_max);
  if (storage) row.held_since += place_line(*storage);
}

bool went_in_last(const store::TrustpointRow& row, ByteView archive,
                  const config::Storage& storage) {
  return lines_of(row.held_since, archive_head).ends_with(line_of(archive_head, archive)) &&
         lines_of(row.held_since, place_head) == place_line(storage);
}

bool knows_archive(const store::TrustpointRow& row, ByteView archive) {
  return is_on_its_way(row, archive) ||
         lines_of(row.held_since, archive_head).find(line_of(archive_head, archive)) !=
             std::string::npos;
}

void add_former_key(store::TrustpointRow& row, const x509::PublicKey& key) {
  add_line(row.held_since, former_key_head, key.spki(), former_keys_max);
}

bool is_of_trustpoint(const State& state, const x509::Certificate& certificate) {
  const auto& key = certificate.public_key();
  for (const auto* const own : {&state.key, &state.shadow_key}) {
    if (*own && (*own)->public_key() == key) return true;
  }
  return lines_of(state.row.held_since, former_key_head)
                 .find(line_of(former_key_head, key.spki())) != std::string::npos ||
         read_marks(state.row.announced).identity == mark(certificate);
}

std::string announcement_lines(std::string_view held_since) {
  std::string lines;
  for (const auto head : {archive_head, try_head, place_head, former_key_head})
    lines += lines_of(held_since, head);
  return lines;
}

}  // namespace umbra::client
