#include "io/outlet.h"

#include <fmt/format.h>

#include <array>
#include <filesystem>

#include "io/files.h"
#include "io/kept_aside.h"
#include "io/pem_directory.h"

namespace umbra::io {
namespace {

namespace fs = std::filesystem;

constexpr std::size_t archive_max = 1U << 20;

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

/// Whether what is there is somebody else's archive, or a link of his. Errors: conflict, if it is
/// no archive; storage.
Result<bool> is_anothers_archive(const fs::path& file, const client::IsOurs& ours) {
  std::error_code error;
  const auto itself = fs::symlink_status(file, error).type();
  if (itself == fs::file_type::not_found) return false;
  if (itself == fs::file_type::none) return cannot_look_at(file, error);
  const bool link = itself == fs::file_type::symlink;
  const auto type = fs::status(file, error).type();
  if (link && type == fs::file_type::not_found) return true;
  if (type == fs::file_type::none) return cannot_look_at(file, error);
  if (type == fs::file_type::regular) {
    const auto size = fs::file_size(file, error);
    if (!error && size == 0) return link;  // nothing is lost
    if (!error && size <= archive_max) {
      UMBRA_TRY(auto content, read_file(file.string(), archive_max));
      const bool archive = looks_like_pkcs12(content);
      const bool own = archive && !link && ours(content);
      wipe(content);
      if (archive) return !own;
    }
  }
  return fail(Errc::conflict, fmt::format("{} is there, and is no PKCS #12 archive: it is not "
                                          "replaced; move it away, or name another place",
                                          file.string()));
}

/// What is found there, whoever wrote it; empty if nothing is.
Result<Bytes> read_published(const fs::path& path) {
  std::error_code error;
  const auto type = fs::status(path, error).type();
  if (type == fs::file_type::not_found) return Bytes();
  if (type == fs::file_type::none) return cannot_look_at(path, error);
  if (type != fs::file_type::regular)
    return fail(Errc::storage, path.string() + " is no file");  // of a pipe, there is no end
  return read_file(path.string(), archive_max);
}

}  // namespace

void FileOutlet::say_kept(const fs::path& path) {
  log_.event({Severity::warning, "STORAGE",
              fmt::format("{} was there before, and not written by umbrad: it is kept as {}",
                          path.string(), aside_of(path).string()),
              "UMBRA"});
}

void FileOutlet::refuse(std::vector<RefusedPlace> places) {
  const std::lock_guard lock(mutex_);
  refused_.clear();
  for (auto& one : places) refused_[{one.trustpoint, one.path}] = std::move(one.why);
}

Result<void> FileOutlet::is_allowed(std::string_view trustpoint,
                                    const config::Storage& storage) const {
  const std::lock_guard lock(mutex_);
  const auto found = refused_.find({std::string(trustpoint), storage.path});
  if (found == refused_.end()) return {};
  return fail(Errc::conflict,
              fmt::format("{}; nothing is written there until that is mended and the configuration "
                          "is read again (SIGHUP)",
                          found->second));
}

Result<void> FileOutlet::publish_pem(std::string_view trustpoint, const config::Storage& storage,
                                     const client::PemFiles& files) {
  UMBRA_CHECK(is_allowed(trustpoint, storage));
  UMBRA_TRY(const FileAccess access, file_access(storage.mode, storage.owner, storage.group));
  auto parts = pem_parts(files);
  const auto replaced = [&]() -> Result<void> {
    UMBRA_CHECK(make_readable_directory(storage.path));
    UMBRA_TRY(const auto held, places_.claim_directory({std::string(trustpoint), storage.path}));
    return replace_pem_set(storage.path, parts, access,
                           [this](const fs::path& path) { say_kept(path); });
  }();
  for (auto& part : parts) {
    if (part.secret) wipe(part.content);
  }
  return replaced;
}

Result<void> FileOutlet::publish_pkcs12(std::string_view trustpoint, const config::Storage& storage,
                                        ByteView archive, const client::IsOurs& ours) {
  UMBRA_CHECK(is_allowed(trustpoint, storage));
  UMBRA_TRY(const FileAccess access, file_access(storage.mode, storage.owner, storage.group));
  const fs::path file = storage.path;
  UMBRA_CHECK(make_readable_directory(file.parent_path()));
  UMBRA_TRY(const auto held, places_.claim_file({std::string(trustpoint), storage.path}));
  UMBRA_TRY(const bool anothers, is_anothers_archive(file, ours));
  if (!anothers) return write_file(storage.path, archive, access);
  if (is_taken_aside(file)) return both_there(file);
  // What is theirs stays in its place until there is something to put there.
  const std::string directory = file.parent_path().string();
  remove_abandoned_drafts(directory, file.filename().string());
  UMBRA_TRY(auto draft, Draft::make(storage.path));
  UMBRA_CHECK(draft.write(archive));
  UMBRA_CHECK(draft.give(access));
  UMBRA_CHECK(keep_aside(file));
  if (const auto placed = draft.put_in_place(); !placed) {
    put_back(file);
    return placed;
  }
  say_kept(file);
  return sync_directory(directory);
}

Result<void> FileOutlet::hold_pkcs12(std::string_view trustpoint, const config::Storage& storage) {
  UMBRA_CHECK(is_allowed(trustpoint, storage));
  UMBRA_TRY(const auto held, places_.claim_file({std::string(trustpoint), storage.path}));
  return {};
}

Result<void> FileOutlet::withdraw_pem(std::string_view trustpoint, const config::Storage& storage,
                                      const client::IsOurs& ours) {
  const fs::path root = storage.path;
  std::error_code error;
  const auto kind = fs::status(root, error).type();
  if (kind == fs::file_type::none) return cannot_look_at(root, error);
  if (kind != fs::file_type::directory) return {};
  {
    UMBRA_TRY(const auto held, places_.claim_directory({std::string(trustpoint), storage.path}));
    UMBRA_CHECK(remove_pem_set(root, ours));
    UMBRA_CHECK(remove_tree(Places::lock_of_directory(root)));
    UMBRA_CHECK(sync_directory(root.string()));
  }
  leave(trustpoint, storage);
  return {};
}

Result<void> FileOutlet::withdraw_pkcs12(std::string_view trustpoint,
                                         const config::Storage& storage,
                                         const client::IsOurs& ours) {
  const fs::path file = storage.path;
  std::error_code error;
  const auto kind = fs::symlink_status(file, error).type();
  if (kind == fs::file_type::not_found) {
    // Of a process that died with the key on its way.
    remove_abandoned_drafts(file.parent_path().string(), file.filename().string());
    return {};
  }
  if (kind == fs::file_type::none) return cannot_look_at(file, error);
  {
    UMBRA_TRY(const auto held, places_.claim_file({std::string(trustpoint), storage.path}));
    const auto somebody_elses = [&] {
      return fail(Errc::conflict,
                  fmt::format("{} is not what umbrad has written; it stays where it "
                              "is",
                              file.string()));
    };
    if (kind != fs::file_type::regular) return somebody_elses();
    const auto size = fs::file_size(file, error);
    if (error) return cannot_look_at(file, error);
    if (size > archive_max) return somebody_elses();
    UMBRA_TRY(Bytes content, read_file(file.string(), archive_max));
    const bool own = ours(content);
    wipe(content);
    if (!own) return somebody_elses();
    remove_abandoned_drafts(file.parent_path().string(), file.filename().string());
    UMBRA_CHECK(remove_tree(file));
    UMBRA_CHECK(remove_tree(Places::lock_of_file(file)));
    UMBRA_CHECK(sync_directory(file.parent_path().string()));
  }
  leave(trustpoint, storage);
  return {};
}

void FileOutlet::leave(std::string_view trustpoint, const config::Storage& storage) {
  places_.leave({std::string(trustpoint), storage.path});
}

Result<Bytes> FileOutlet::read_pem(const config::Storage& storage) {
  return read_published(fs::path(storage.path) / "cert.pem");
}

Result<Bytes> FileOutlet::read_pkcs12(const config::Storage& storage) {
  return read_published(storage.path);
}

std::vector<std::string> FileOutlet::kept_keys(const config::Storage& storage, bool archive) {
  std::vector<std::string> all;
  const auto look = [&all](const fs::path& path) {
    if (occupied(path)) all.push_back(path.string());
  };
  if (archive) {
    look(aside_of(storage.path));
  } else {
    for (const char* const name : {"key.pem", "bundle.pem"})
      look(aside_of(fs::path(storage.path) / name));
  }
  return all;
}

}  // namespace umbra::io
