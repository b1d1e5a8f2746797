#include "io/outlet.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <sys/stat.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <charconv>
#include <cstdio>
#include <filesystem>

#include "io/files.h"

namespace umbra::io {
namespace {

namespace fs = std::filesystem;

constexpr fs::perms readable_by_all = fs::perms::owner_all | fs::perms::group_read |
                                      fs::perms::group_exec | fs::perms::others_read |
                                      fs::perms::others_exec;
constexpr unsigned public_mode = 0644;
constexpr std::size_t file_max = 1U << 20;

const std::string prefix = "..set-";
/// Leads to the generation that counts.
const std::string data_link = "..data";
/// Directories within a generation, each there while it has something in it.
constexpr std::array directories = {"rollover", "previous"};
/// What a directory of `storage pem` has for readers.
constexpr std::array link_names = {"ca.pem",     "cert.pem", "chain.pem", "key.pem",
                                   "bundle.pem", "rollover", "previous"};

/// A file of one generation.
struct Part {
  std::string name;
  std::string content;
  bool secret = false;
};

/// The texts of one set, which the caller wipes.
std::vector<Part> parts_of(const client::PemSet& set, const std::string& below) {
  std::vector<Part> parts;
  if (!set.ca.empty()) parts.push_back({below + "ca.pem", set.ca});
  if (set.cert.empty()) return parts;
  parts.push_back({below + "cert.pem", set.cert});
  parts.push_back({below + "chain.pem", set.chain});
  parts.push_back({below + "key.pem", set.key, true});
  parts.push_back({below + "bundle.pem", set.chain + set.key, true});
  return parts;
}

/// 0 = it is none of ours.
std::uint64_t number_of(const std::string& generation) {
  std::uint64_t number = 0;
  if (!generation.starts_with(prefix)) return 0;
  const char* const end = generation.data() + generation.size();
  const auto [stop, error] = std::from_chars(generation.data() + prefix.size(), end, number);
  return error == std::errc{} && stop == end ? number : 0;
}

std::string wanted_target(const std::string& name) { return data_link + "/" + name; }

/// Whoever else links NAME links it to something else.
bool is_own_link(const fs::path& path, const std::string& name) {
  std::error_code error;
  return fs::read_symlink(path, error) == wanted_target(name);
}
bool is_own_data_link(const fs::path& path) {
  std::error_code error;
  return number_of(fs::read_symlink(path, error).string()) > 0;
}

/// Only what is known not to be there is gone.
tl::unexpected<Error> cannot_look_at(const fs::path& path, const std::error_code& error) {
  return fail(Errc::storage, fmt::format("cannot look at {}: {}", path.string(), error.message()));
}

/// Nothing, if there is no such link. Errors: storage.
Result<std::string> link_target(const fs::path& path) {
  std::error_code error;
  const auto type = fs::symlink_status(path, error).type();
  if (type == fs::file_type::none) return cannot_look_at(path, error);
  if (type != fs::file_type::symlink) return std::string();
  const fs::path target = fs::read_symlink(path, error);
  if (error) return cannot_look_at(path, error);
  return target.string();
}

/// PFX ::= SEQUENCE { version INTEGER {v3(3)}, ... } (RFC 7292 4), to the last octet.
bool looks_like_pkcs12(ByteView content) {
  constexpr std::uint8_t sequence = 0x30;
  constexpr std::uint8_t long_form = 0x80;
  constexpr std::array<std::uint8_t, 3> version = {0x02, 0x01, 0x03};
  if (content.size() < 2 || content[0] != sequence) return false;
  std::size_t length = content[1];
  std::size_t head = 2;
  if (length > long_form) {
    const std::size_t octets = length - long_form;
    if (octets > 4 || content.size() < head + octets) return false;
    length = 0;
    for (const auto octet : content.subspan(head, octets)) length = length << 8U | octet;
    head += octets;
  }
  const ByteView rest = content.subspan(head);
  return rest.size() == length && length > version.size() &&
         equal(rest.first(version.size()), version);
}

/// Errors: conflict, if what is there is none; storage.
Result<void> may_be_replaced_by_archive(const fs::path& file) {
  std::error_code error;
  const auto type = fs::status(file, error).type();
  if (type == fs::file_type::not_found) return {};
  if (type == fs::file_type::none) return cannot_look_at(file, error);
  if (type == fs::file_type::regular) {
    const auto size = fs::file_size(file, error);
    if (!error && size == 0) return {};  // nothing is lost
    if (!error && size <= file_max) {
      UMBRA_TRY(auto content, read_file(file.string(), file_max));
      const bool archive = looks_like_pkcs12(content);
      wipe(content);
      if (archive) return {};
    }
  }
  return fail(Errc::conflict, fmt::format("{} is there, and is no PKCS #12 archive: it is not "
                                          "replaced; move it away, or name another place",
                                          file.string()));
}

Result<void> take_away(const fs::path& path) {
  std::error_code error;
  fs::remove_all(path, error);
  if (!error) return {};
  return fail(Errc::storage, fmt::format("cannot remove {}: {}", path.string(), error.message()));
}

Result<void> point(const fs::path& link, const std::string& target) {
  const fs::path temporary = link.string() + ".new";
  std::error_code error;
  if (fs::is_symlink(temporary, error)) fs::remove(temporary, error);
  fs::create_symlink(target, temporary, error);
  if (!error) fs::rename(temporary, link, error);
  if (error)
    return fail(Errc::storage,
                fmt::format("cannot point {} at {}: {}", link.string(), target, error.message()));
  return {};
}

fs::path aside_of(const fs::path& path) { return path.string() + ".before-umbra"; }

bool occupied(const fs::path& path) {
  std::error_code error;
  return fs::symlink_status(path, error).type() != fs::file_type::not_found;
}

/// Whether somebody else's file stands where the link NAME is to be. Errors: conflict, if it could
/// not be kept.
Result<bool> is_in_the_way(const fs::path& path, const std::string& name) {
  if (!occupied(path) || is_own_link(path, name)) return false;
  std::error_code error;
  if (fs::is_directory(fs::symlink_status(path, error))) {
    return fail(Errc::conflict,
                fmt::format("{} is a directory that umbrad has not made; move it away, or name "
                            "another place",
                            path.string()));
  }
  if (!occupied(aside_of(path))) return true;
  return fail(Errc::conflict,
              fmt::format("{} is not umbrad's, and would be kept as {}, which is there already; "
                          "move one of them away",
                          path.string(), aside_of(path).string()));
}

/// Under its new name it replaces nothing, whatever has come there meanwhile.
Result<void> put_aside(const fs::path& path) {
  const std::string aside = aside_of(path).string();
  if (::renameat2(AT_FDCWD, path.c_str(), AT_FDCWD, aside.c_str(), RENAME_NOREPLACE) == 0)
    return {};
  std::error_code error(errno, std::generic_category());
  // A file system that cannot promise it: NFS.
  if (error == std::errc::invalid_argument && !occupied(aside)) fs::rename(path, aside, error);
  if (!error) return {};
  return fail(Errc::storage,
              fmt::format("cannot keep {} as {}: {}", path.string(), aside, error.message()));
}

/// With those above it, where they are missing: a group that may read the key must get there.
Result<void> make_readable_directory(const fs::path& path) {
  std::error_code error;
  if (path.empty() || fs::is_directory(path, error)) return {};
  if (path.has_relative_path()) UMBRA_CHECK(make_readable_directory(path.parent_path()));
  UMBRA_CHECK(make_directory(path.string()));
  fs::permissions(path, readable_by_all, error);  // what is secret in it is so by its own mode
  if (error)
    return fail(Errc::storage,
                fmt::format("cannot set the mode of {}: {}", path.string(), error.message()));
  return {};
}

bool is_as_wanted(const fs::path& path, const Part& part, const FileAccess& access) {
  struct stat found {};
  if (::stat(path.c_str(), &found) != 0) return false;
  if ((found.st_mode & 07777U) != access.mode || (access.owner && found.st_uid != *access.owner) ||
      (access.group && found.st_gid != *access.group))
    return false;
  auto content = read_file(path.string(), file_max);
  const bool same = content && equal(*content, as_bytes(part.content));
  if (content) wipe(*content);
  return same;
}

/// In: `kept` is told what was somebody else's.
Result<void> replace_set(const fs::path& root, const std::vector<Part>& parts,
                         const FileAccess& secret,
                         const std::function<void(const fs::path&)>& kept) {
  FileAccess open = secret;
  open.mode = public_mode;
  const auto access = [&](const Part& part) { return part.secret ? secret : open; };
  const auto used = [&](const std::string& directory) {
    return std::any_of(parts.begin(), parts.end(),
                       [&](const Part& part) { return part.name.starts_with(directory + "/"); });
  };
  std::vector<std::string> links;
  for (const Part& part : parts) {
    if (part.name.find('/') == std::string::npos) links.push_back(part.name);
  }
  for (const std::string directory : directories) {
    if (used(directory)) links.push_back(directory);
  }
  std::error_code error;
  UMBRA_CHECK(make_readable_directory(root));
  // Before anything is changed: all of it can be, the shadow set to come too.
  for (const std::string name : link_names) UMBRA_CHECK(is_in_the_way(root / name, name));
  if (occupied(root / data_link) && !is_own_data_link(root / data_link)) {
    return fail(Errc::conflict, fmt::format("{} is not umbrad's; move it away, or name another "
                                            "place",
                                            (root / data_link).string()));
  }
  std::string current = fs::read_symlink(root / data_link, error).string();
  const bool there =
      !current.empty() &&
      std::all_of(parts.begin(), parts.end(),
                  [&](const Part& part) {
                    return is_as_wanted(root / current / part.name, part, access(part));
                  }) &&
      std::all_of(directories.begin(), directories.end(), [&](const std::string& directory) {
        return fs::exists(root / current / directory, error) == used(directory);
      });
  if (!there) {
    // A name is never used again: who resolved ..data holds on to one generation, or loses it
    // whole.
    const std::string next = prefix + std::to_string(number_of(current) + 1);
    fs::remove_all(root / next, error);  // of a process that died half-way
    UMBRA_CHECK(make_readable_directory(root / next));
    for (const std::string directory : directories) {
      if (used(directory)) UMBRA_CHECK(make_readable_directory(root / next / directory));
    }
    for (const Part& part : parts) {
      UMBRA_CHECK(
          write_file((root / next / part.name).string(), as_bytes(part.content), access(part)));
    }
    UMBRA_CHECK(point(root / data_link, next));
    current = next;
  }
  for (const std::string& name : links) {
    if (is_own_link(root / name, name)) continue;
    UMBRA_TRY(const bool in_the_way, is_in_the_way(root / name, name));
    if (in_the_way) {
      UMBRA_CHECK(put_aside(root / name));
      kept(root / name);
    }
    UMBRA_CHECK(point(root / name, wanted_target(name)));
  }
  for (const std::string directory : directories) {
    if (!used(directory) && is_own_link(root / directory, directory))
      fs::remove(root / directory, error);
  }
  UMBRA_CHECK(sync_directory(root.string()));
  for (const auto& entry : fs::directory_iterator(root, error)) {
    const std::string name = entry.path().filename().string();
    if (number_of(name) > 0 && name != current) fs::remove_all(entry.path(), error);
  }
  return {};
}

}  // namespace

Result<void> FileOutlet::publish_pem(const config::Storage& storage,
                                     const client::PemFiles& files) {
  UMBRA_TRY(const FileAccess access, file_access(storage.mode, storage.owner, storage.group));
  auto parts = parts_of(files.active, "");
  for (auto& part : parts_of(files.rollover, "rollover/")) parts.push_back(std::move(part));
  for (auto& part : parts_of(files.previous, "previous/")) parts.push_back(std::move(part));
  const auto replaced = replace_set(storage.path, parts, access, [this](const fs::path& path) {
    log_.event({Severity::warning, "STORAGE",
                fmt::format("{} was there before, and not written by umbrad: it is kept as {}",
                            path.string(), aside_of(path).string()),
                "UMBRA"});
  });
  for (auto& part : parts) {
    if (part.secret) wipe(part.content);
  }
  return replaced;
}

Result<void> FileOutlet::publish_pkcs12(const config::Storage& storage, ByteView archive) {
  UMBRA_TRY(const FileAccess access, file_access(storage.mode, storage.owner, storage.group));
  UMBRA_CHECK(may_be_replaced_by_archive(storage.path));
  UMBRA_CHECK(make_readable_directory(fs::path(storage.path).parent_path()));
  return write_file(storage.path, archive, access);
}

Result<void> FileOutlet::withdraw_pem(const config::Storage& storage) {
  const fs::path root = storage.path;
  std::error_code error;
  const auto kind = fs::status(root, error).type();
  if (kind == fs::file_type::none) return cannot_look_at(root, error);
  if (kind != fs::file_type::directory) return {};
  // The names first, then what they lead to.
  for (const std::string name : link_names) {
    UMBRA_TRY(const auto target, link_target(root / name));
    if (target == wanted_target(name)) UMBRA_CHECK(take_away(root / name));
  }
  UMBRA_TRY(const auto generation, link_target(root / data_link));
  if (number_of(generation) > 0) UMBRA_CHECK(take_away(root / data_link));
  std::vector<fs::path> sets;
  for (fs::directory_iterator at(root, error); !error && at != fs::directory_iterator();
       at.increment(error)) {
    if (number_of(at->path().filename().string()) == 0) continue;
    std::error_code unknown;
    const auto type = fs::symlink_status(at->path(), unknown).type();
    if (type == fs::file_type::none) return cannot_look_at(at->path(), unknown);
    if (type == fs::file_type::directory) sets.push_back(at->path());
  }
  if (error) return cannot_look_at(root, error);
  for (const fs::path& set : sets) UMBRA_CHECK(take_away(set));
  return sync_directory(root.string());
}

Result<void> FileOutlet::withdraw_pkcs12(const config::Storage& storage,
                                         const std::function<bool(ByteView)>& ours) {
  const fs::path file = storage.path;
  std::error_code error;
  const auto kind = fs::symlink_status(file, error).type();
  if (kind == fs::file_type::not_found) return {};
  if (kind == fs::file_type::none) return cannot_look_at(file, error);
  const auto somebody_elses = [&] {
    return fail(Errc::conflict, fmt::format("{} is not what umbrad has written; it stays where it "
                                            "is",
                                            file.string()));
  };
  if (kind != fs::file_type::regular) return somebody_elses();
  UMBRA_TRY(const Bytes content, read_file(file.string(), file_max));
  if (!ours(content)) return somebody_elses();
  UMBRA_CHECK(take_away(file));
  return sync_directory(file.parent_path().string());
}

}  // namespace umbra::io
