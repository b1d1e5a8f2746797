#include <map>

#include "audit/check.h"
#include "io/audit_log.h"
#include "io/descriptor.h"
#include "io/files.h"
#include "store/examiner.h"

namespace umbra::io {
namespace {

// No line of ours is longer: what a peer can make long is bounded where it comes in.
constexpr std::size_t line_octets_max = std::size_t{1} << 20U;

Result<void> read_lines(const std::string& path, audit::Checker& checker) {
  const Descriptor file(path, O_RDONLY);
  if (!file.good()) return os_failed("open", path);
  std::string rest;
  Bytes part(std::size_t{1} << 16U);
  for (;;) {
    UMBRA_TRY(const std::size_t got, read_some(file.get(), part, path));
    if (got == 0) break;
    rest += as_text(ByteView(part).first(got));
    std::size_t from = 0;
    for (std::size_t end = 0; (end = rest.find('\n', from)) != std::string::npos; from = end + 1)
      checker.take(std::string_view(rest).substr(from, end - from), true);
    rest.erase(0, from);
    if (rest.size() > line_octets_max)
      return fail(Errc::malformed, path + " has a line without an end; it is no audit log");
  }
  if (!rest.empty()) checker.take(rest, false);
  return {};
}

}  // namespace

Result<std::string> verify_audit(const std::string& data_directory, bool json, bool& unbroken) {
  const auto quiet = DirectoryLock::keep_out(data_directory);
  // The database first: of what it knows at this moment, every line has been written.
  UMBRA_TRY(const auto store,
            store::Examiner::open(data_directory + "/umbra.db", quiet == nullptr));
  UMBRA_TRY(const auto known, store->audit_head());
  UMBRA_TRY(const auto servers, store->servers());
  std::map<std::pair<std::string, std::uint32_t>, x509::Certificate> authorities;
  for (const std::string& server : servers) {
    UMBRA_TRY(const auto rows, store->generations(server, [](const auto&, const auto&) {}));
    for (const auto& row : rows) {
      if (auto parsed = x509::Certificate::from_der(row.certificate))
        authorities.emplace(std::pair(server, row.number), *std::move(parsed));
    }
  }
  audit::Checker checker(
      [&](const std::string& server, std::uint32_t generation) -> const x509::Certificate* {
        const auto found = authorities.find({server, generation});
        return found == authorities.end() ? nullptr : &found->second;
      },
      known ? std::optional(audit::Head{known->number, known->hash}) : std::nullopt);
  const std::string path = data_directory + "/audit.log";
  UMBRA_CHECK(read_lines(path, checker));
  checker.finish();
  for (const std::string& server : servers) {
    UMBRA_CHECK(store->each_certificate(
        server,
        [&](const store::IssuedCertificate& row) {
          // What an import or a CRL told of, nobody here has issued.
          if (!row.certificate.empty()) checker.stored(server, row.serial, row.issued_at);
        },
        [](const auto&, const auto&) {}));
  }
  const auto& report = checker.report();
  unbroken = report.count == 0;
  return json ? audit::to_json(report, path) : audit::to_text(report, path);
}

}  // namespace umbra::io
