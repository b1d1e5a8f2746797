#pragma once

#include <optional>
#include <string>
#include <vector>

#include "base/result.h"
#include "server/publication.h"
#include "store/store.h"

/// `umbra import ios`: the files an IOS certificate server published (or one of Umbra's) as rows of
/// a new store. Values in, values out: nothing is read or written here.
namespace umbra::server {

struct ImportOptions {
  std::string passphrase;                   ///< of the archives
  std::vector<std::string> names;           ///< of servers; empty = all that are found
  bool without_crl = false;                 ///< go on although it is not known who is revoked
  std::optional<x509::Serial> last_serial;  ///< where NAME.ser is missing
  std::string seal;                         ///< what seals CA keys in the store
  Time now;
};

struct ImportedServer {
  std::string name;
  store::Batch rows;                       ///< to be committed together
  std::vector<std::string> found;          ///< what was read, a line each
  std::vector<std::string> warnings;       ///< what was missing or doubtful, and what it means
  std::vector<std::string> configuration;  ///< lines for umbra.conf
};
struct Import {
  std::vector<ImportedServer> servers;
  std::vector<std::string> ignored;  ///< files that are none of theirs, and why
};

/// In:     the files of one directory.
/// Errors: not_found (no server, no archive of its CA, no CRL, no serial number), crypto (wrong
///         passphrase, a signature that does not match), conflict (key and certificate differ, CA
///         certificates that contradict each other), malformed: with the file and what to do.
[[nodiscard]] Result<Import> import_ios(const std::vector<PublishedFile>& files,
                                        const ImportOptions& options);

}  // namespace umbra::server
