#include "io/pem_directory.h"

#include <fmt/format.h>
#include <sys/stat.h>

#include <algorithm>
#include <array>
#include <charconv>
#include <cstdint>
#include <string_view>
#include <system_error>
#include <utility>

#include "io/kept_aside.h"

namespace umbra::io {
namespace {

namespace fs = std::filesystem;

constexpr unsigned public_mode = 0644;
constexpr std::size_t pem_file_max = 1U << 20;

const std::string prefix = "..set-";
/// Leads to the generation that counts.
const std::string data_link = "..data";
/// A link on its way to its place.
const std::string link_prefix = "..link-";
/// Directories within a generation, each there while it has something in it.
constexpr std::array directories = {"rollover", "previous"};
/// What a directory of `storage pem` has for readers.
constexpr std::array link_names = {"ca.pem",     "cert.pem", "chain.pem", "key.pem",
                                   "bundle.pem", "rollover", "previous"};

void add_parts(std::vector<PemPart>& parts, const client::PemSet& set, const std::string& below) {
  if (!set.ca.empty()) parts.push_back({below + "ca.pem", set.ca});
  if (set.cert.empty()) return;
  parts.push_back({below + "cert.pem", set.cert});
  parts.push_back({below + "chain.pem", set.chain});
  parts.push_back({below + "key.pem", set.key, true});
  parts.push_back({below + "bundle.pem", set.chain + set.key, true});
}

/// 0 = it is none of ours.
std::uint64_t number_of(const std::string& generation) {
  constexpr std::uint64_t number_max = 1'000'000'000'000'000;  // more than anybody lives to see
  std::uint64_t number = 0;
  if (!generation.starts_with(prefix)) return 0;
  const char* const end = generation.data() + generation.size();
  const auto [stop, error] = std::from_chars(generation.data() + prefix.size(), end, number);
  return error == std::errc{} && stop == end && number <= number_max ? number : 0;
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

Result<void> point(const fs::path& link, const std::string& target) {
  const fs::path temporary = link.parent_path() / (link_prefix + random_digits());
  std::error_code error;
  fs::create_symlink(target, temporary, error);
  if (error)
    return fail(Errc::storage,
                fmt::format("cannot make {}: {}", temporary.string(), error.message()));
  fs::rename(temporary, link, error);
  if (!error) return {};
  std::error_code ignored;
  fs::remove(temporary, ignored);
  return fail(Errc::storage,
              fmt::format("cannot point {} at {}: {}", link.string(), target, error.message()));
}

/// Of a process that died with it on its way.
bool is_left_over(const fs::path& entry) {
  const std::string name = entry.filename().string();
  std::error_code error;
  return name.starts_with(link_prefix) &&
         are_random_digits(std::string_view(name).substr(link_prefix.size())) &&
         fs::is_symlink(entry, error);
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
  if (!is_taken_aside(path)) return true;
  return both_there(path);
}

/// In: `path`, in a directory that this process has made: what nobody asks for is as it is there.
bool is_as_wanted(const fs::path& path, const PemPart& part, const FileAccess& access) {
  struct stat found {
  }, around{};
  if (::stat(path.c_str(), &found) != 0 || ::stat(path.parent_path().c_str(), &around) != 0)
    return false;
  if ((found.st_mode & 07777U) != access.mode ||
      found.st_uid != access.owner.value_or(around.st_uid) ||
      found.st_gid != access.group.value_or(around.st_gid))
    return false;
  auto content = read_file(path.string(), pem_file_max);
  const bool same = content && equal(*content, as_bytes(part.content));
  if (content) wipe(*content);
  return same;
}

/// Of those that are there, with what a process that died half-way has left; and of anything else
/// that has such a name.
Result<std::uint64_t> last_generation(const fs::path& root) {
  std::uint64_t last = 0;
  std::error_code error;
  for (fs::directory_iterator at(root, error); !error && at != fs::directory_iterator();
       at.increment(error))
    last = std::max(last, number_of(at->path().filename().string()));
  if (error) return cannot_look_at(root, error);
  return last;
}

/// What is of no use any more: earlier generations, and what a process that died has left.
void clear_up(const fs::path& root, const std::string& current) {
  std::vector<fs::path> old;
  std::error_code error;
  for (fs::directory_iterator at(root, error); !error && at != fs::directory_iterator();
       at.increment(error)) {
    const std::string name = at->path().filename().string();
    std::error_code ignored;
    if (is_left_over(at->path()) || (number_of(name) > 0 && name != current &&
                                     fs::is_directory(fs::symlink_status(at->path(), ignored))))
      old.push_back(at->path());
  }
  for (const fs::path& one : old) {
    std::error_code ignored;
    fs::remove_all(one, ignored);
  }
}

/// Whether something of the set is in a directory of the generation.
bool is_used(const std::vector<PemPart>& parts, const std::string& directory) {
  return std::any_of(parts.begin(), parts.end(),
                     [&](const PemPart& part) { return part.name.starts_with(directory + "/"); });
}

/// Writes a generation, and makes it the one that counts. After an error it is not.
Result<void> make_generation(const fs::path& root, const std::string& name,
                             const std::vector<PemPart>& parts,
                             const std::function<FileAccess(const PemPart&)>& access) {
  UMBRA_CHECK(make_readable_directory(root / name));
  for (const std::string directory : directories) {
    if (is_used(parts, directory)) UMBRA_CHECK(make_readable_directory(root / name / directory));
  }
  for (const PemPart& part : parts) {
    UMBRA_CHECK(
        write_file((root / name / part.name).string(), as_bytes(part.content), access(part)));
  }
  return point(root / data_link, name);
}

/// All of them, or none that is new: a program that finds some of the names led to another key
/// than the others has nothing.
Result<void> put_links(const fs::path& root, const std::vector<std::string>& names,
                       const std::function<void(const fs::path&)>& kept) {
  std::vector<fs::path> missing;
  std::vector<fs::path> kept_now;
  std::vector<fs::path> made;
  const auto undo = [&] {
    std::error_code ignored;
    for (const auto& link : made) {
      if (is_own_link(link, link.filename().string())) fs::remove(link, ignored);
    }
    for (const auto& path : kept_now) put_back(path);
  };
  for (const std::string& name : names) {
    const fs::path path = root / name;
    if (is_own_link(path, name)) continue;
    missing.push_back(path);
    auto in_the_way = is_in_the_way(path, name);
    auto done = in_the_way ? Result<void>() : Result<void>(tl::unexpected(in_the_way.error()));
    if (in_the_way && *in_the_way) {
      done = keep_aside(path);
      if (done) kept_now.push_back(path);
    }
    if (done) continue;
    undo();
    return done;
  }
  for (const fs::path& path : missing) {
    if (auto done = point(path, wanted_target(path.filename().string())); !done) {
      undo();
      return done;
    }
    made.push_back(path);
  }
  for (const auto& path : kept_now) kept(path);
  return {};
}

}  // namespace

std::vector<PemPart> pem_parts(const client::PemFiles& files) {
  std::vector<PemPart> parts;
  add_parts(parts, files.active, "");
  add_parts(parts, files.rollover, "rollover/");
  add_parts(parts, files.previous, "previous/");
  return parts;
}

Result<void> replace_pem_set(const fs::path& root, const std::vector<PemPart>& parts,
                             const FileAccess& secret,
                             const std::function<void(const fs::path&)>& kept) {
  FileAccess open = secret;
  open.mode = public_mode;
  const auto access = [&](const PemPart& part) { return part.secret ? secret : open; };
  const auto used = [&](const std::string& directory) { return is_used(parts, directory); };
  std::vector<std::string> links;
  for (const PemPart& part : parts) {
    if (part.name.find('/') == std::string::npos) links.push_back(part.name);
  }
  for (const std::string directory : directories) {
    if (used(directory)) links.push_back(directory);
  }
  std::error_code error;
  // Before anything is changed: all of it can be, the shadow set to come too.
  for (const std::string name : link_names) UMBRA_CHECK(is_in_the_way(root / name, name));
  if (occupied(root / data_link) && !is_own_data_link(root / data_link)) {
    return fail(Errc::conflict, fmt::format("{} is not umbrad's; move it away, or name another "
                                            "place",
                                            (root / data_link).string()));
  }
  UMBRA_TRY(const std::string before, link_target(root / data_link));
  std::string current = before;
  const bool there =
      !current.empty() &&
      std::all_of(parts.begin(), parts.end(),
                  [&](const PemPart& part) {
                    return is_as_wanted(root / current / part.name, part, access(part));
                  }) &&
      std::all_of(directories.begin(), directories.end(), [&](const std::string& directory) {
        return fs::exists(root / current / directory, error) == used(directory);
      });
  if (!there) {
    // A name is never used again: who resolved ..data holds on to one generation, or loses it
    // whole.
    UMBRA_TRY(const auto last, last_generation(root));
    const std::string next = prefix + std::to_string(std::max(last, number_of(current)) + 1);
    // Or what could not be written lies there with its keys, and a disk that is full of it stays
    // full.
    clear_up(root, current);
    if (const auto made = make_generation(root, next, parts, access); !made) {
      fs::remove_all(root / next, error);
      return made;
    }
    current = next;
  }
  if (const auto put = put_links(root, links, kept); !put) {
    if (current != before) {
      // Whatever names lead there lead to what they led to before; if not, to what is there.
      const auto back =
          before.empty() ? remove_tree(root / data_link) : point(root / data_link, before);
      if (back) fs::remove_all(root / current, error);
    }
    return put;
  }
  for (const std::string directory : directories) {
    if (!used(directory) && is_own_link(root / directory, directory))
      fs::remove(root / directory, error);
  }
  UMBRA_CHECK(sync_directory(root.string()));
  clear_up(root, current);
  return {};
}

bool has_pem_key(const fs::path& root) {
  return is_own_data_link(root / data_link) && is_own_link(root / "key.pem", "key.pem");
}

Result<void> remove_pem_set(const fs::path& root, const client::IsOurs& ours) {
  std::error_code error;
  UMBRA_TRY(const auto generation, link_target(root / data_link));
  const bool published = number_of(generation) > 0;
  if (!generation.empty() && !published) {
    return fail(Errc::conflict, fmt::format("{} is not umbrad's", (root / data_link).string()));
  }
  if (published) {
    const fs::path cert = root / generation / "cert.pem";
    // A set without a certificate is what a process that died has left.
    const auto type = fs::status(cert, error).type();
    if (type == fs::file_type::none) return cannot_look_at(cert, error);
    if (type != fs::file_type::not_found) {
      UMBRA_TRY(const Bytes text, read_file(cert.string(), pem_file_max));
      if (!ours(text)) {
        return fail(Errc::conflict,
                    fmt::format("the certificate in {} is not this trustpoint's", root.string()));
      }
    }
  }
  for (const std::string name : link_names) {
    UMBRA_TRY(const auto target, link_target(root / name));
    if (target == wanted_target(name)) UMBRA_CHECK(remove_tree(root / name));
  }
  if (published) UMBRA_CHECK(remove_tree(root / data_link));
  std::vector<fs::path> sets;
  for (fs::directory_iterator at(root, error); !error && at != fs::directory_iterator();
       at.increment(error)) {
    if (is_left_over(at->path())) sets.push_back(at->path());
    if (number_of(at->path().filename().string()) == 0) continue;
    std::error_code unknown;
    const auto type = fs::symlink_status(at->path(), unknown).type();
    if (type == fs::file_type::none) return cannot_look_at(at->path(), unknown);
    if (type == fs::file_type::directory) sets.push_back(at->path());
  }
  if (error) return cannot_look_at(root, error);
  for (const fs::path& set : sets) UMBRA_CHECK(remove_tree(set));
  return {};
}

}  // namespace umbra::io
