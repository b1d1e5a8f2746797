#pragma once

#include <filesystem>
#include <functional>
#include <string>
#include <vector>

#include "client/outlet.h"
#include "io/files.h"

/// What a directory of `storage pem` holds: links for readers, which lead through ..data to one
/// generation of the files (outlet.h).
namespace umbra::io {

/// A file of one generation, by its name below it.
struct PemPart {
  std::string name;
  std::string content;
  bool secret = false;
};
/// The caller wipes what is secret.
[[nodiscard]] std::vector<PemPart> pem_parts(const client::PemFiles& files);

/// Makes these the files of the directory, which is there. A set that is there already, with the
/// same owners and modes, stays. After an error the set of before is the one that counts, nothing
/// of the new one is left, and no link is where somebody else's file was.
/// In: `secret`: of what is secret, the rest may be read by all; `kept` is told what was somebody
/// else's. Errors: conflict, with the place; storage.
[[nodiscard]] Result<void> replace_pem_set(
    const std::filesystem::path& root, const std::vector<PemPart>& parts, const FileAccess& secret,
    const std::function<void(const std::filesystem::path&)>& kept);
/// Whether a key that the above has put there is there, or a name that leads to it.
[[nodiscard]] bool has_pem_key(const std::filesystem::path& root);
/// Takes away what the above has made there, and what a process that died has left of it; the names
/// first, then what they lead to. On the disk after sync_directory. Errors: conflict, if there is a
/// set, and `ours` says no of its cert.pem: all of it stays; storage.
[[nodiscard]] Result<void> remove_pem_set(const std::filesystem::path& root,
                                          const client::IsOurs& ours);

}  // namespace umbra::io
