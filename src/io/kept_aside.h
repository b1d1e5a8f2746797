#pragma once

#include <filesystem>
#include <system_error>

#include "base/result.h"

/// What stands where umbrad is to write, and is somebody else's: nothing of it is lost, it is kept
/// beside its place as NAME.before-umbra.
namespace umbra::io {

/// Where it is kept.
[[nodiscard]] std::filesystem::path aside_of(const std::filesystem::path& path);
/// Whether there is anything, be it a link that leads nowhere. What cannot be looked at is there.
[[nodiscard]] bool occupied(const std::filesystem::path& path);
/// Whether something else is kept there already.
[[nodiscard]] bool is_taken_aside(const std::filesystem::path& path);
/// Keeps it, unless it is kept already. Under its new name it replaces nothing, whatever has come
/// there meanwhile; and where the file system has hard links, it stays in its place until what is
/// newer is there. Errors: storage.
[[nodiscard]] Result<void> keep_aside(const std::filesystem::path& path);

/// It is in its place again as it was, or still. As well as it goes: where it does not, or where
/// something newer is there by now, it stays kept.
void put_back(const std::filesystem::path& path);

/// Errors of those who ask: conflict, and what to do; storage, since only what is known not to be
/// there is gone.
[[nodiscard]] tl::unexpected<Error> both_there(const std::filesystem::path& path);
[[nodiscard]] tl::unexpected<Error> cannot_look_at(const std::filesystem::path& path,
                                                   const std::error_code& error);

}  // namespace umbra::io
