#pragma once

#include <optional>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "base/bytes.h"
#include "config/model.h"
#include "server/publication.h"
#include "x509/certificate.h"

/// What the files of an IOS certificate server are called.
namespace umbra::server {

struct FileName {
  std::string stem;
  std::string suffix;  ///< in small letters, without the dot
};
[[nodiscard]] FileName split(const std::string& name);
[[nodiscard]] bool is_archive(const FileName& name);
[[nodiscard]] bool is_certificate(const FileName& name);
/// 2a, 0x2a: the stem of a file of one certificate.
[[nodiscard]] std::optional<x509::Serial> serial_named(const std::string& stem);
/// ROOTCA of the first archive, ROOTCA_00001 of the first rollover's: the server, and which CA.
[[nodiscard]] std::pair<std::string, std::uint32_t> archive_of(const std::string& stem);
/// Whether a file of this name is one that the server writes there, now or some day.
[[nodiscard]] bool is_written_to(const PublicationPlace& place, const config::Server& server,
                                 const std::string& name);
/// DER or PEM. Errors: malformed.
[[nodiscard]] Result<x509::Certificate> certificate_in(const Bytes& content);

/// Servers that the files are called after, and that could be configured.
[[nodiscard]] std::set<std::string> servers_in(const std::vector<PublishedFile>& files);
/// Why no server took it. In: `of_several` = more than one is imported.
[[nodiscard]] std::string why_ignored(const PublishedFile& file, bool of_several);

}  // namespace umbra::server
