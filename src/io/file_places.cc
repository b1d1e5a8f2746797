#include "io/file_places.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <filesystem>

#include "io/files.h"

namespace umbra::io {
namespace {

Error trouble(const std::string& what, const std::string& path) {
  return {Errc::storage, fmt::format("cannot {} {}: {}", what, path, std::strerror(errno))};
}

/// A file that is complete under another name and not yet in its place.
class Draft {
 public:
  Draft(std::string path, unsigned mode)
      : path_(std::move(path)), temporary_(path_ + ".new"), mode_(mode) {}
  ~Draft() {
    if (file_ >= 0) ::close(file_);
    if (there_) ::unlink(temporary_.c_str());
  }
  Draft(Draft&& other) noexcept
      : path_(std::move(other.path_)),
        temporary_(std::move(other.temporary_)),
        mode_(other.mode_),
        file_(std::exchange(other.file_, -1)),
        there_(std::exchange(other.there_, false)) {}
  Draft(const Draft&) = delete;
  Draft& operator=(const Draft&) = delete;
  Draft& operator=(Draft&&) = delete;

  std::optional<Error> write(ByteView content) {
    ::unlink(temporary_.c_str());
    file_ = ::open(temporary_.c_str(), O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, mode_);
    if (file_ < 0) return trouble("create", temporary_);
    there_ = true;
    while (!content.empty()) {
      const ssize_t written = ::write(file_, content.data(), content.size());
      if (written < 0 && errno == EINTR) continue;
      if (written < 0) return trouble("write", temporary_);
      content = content.subspan(static_cast<std::size_t>(written));
    }
    return std::nullopt;
  }
  std::optional<Error> put_in_place() {
    if (::fsync(file_) != 0) return trouble("sync", temporary_);
    ::close(std::exchange(file_, -1));
    if (::rename(temporary_.c_str(), path_.c_str()) != 0) return trouble("replace", path_);
    there_ = false;
    return std::nullopt;
  }

 private:
  std::string path_;
  std::string temporary_;
  unsigned mode_;
  int file_ = -1;
  bool there_ = false;
};

bool is_archive(const std::string& name) {
  return name.ends_with(".p12") || name.ends_with(".pem");
}

/// All are written, then all are put in place: the disk is waited for together.
server::Delivery deliver_to(const std::string& folder, bool for_owner_alone,
                            const std::vector<server::PublishedFile>& files) {
  server::Delivery delivery;
  std::vector<Draft> drafts;
  for (const auto& file : files) {
    const unsigned mode = for_owner_alone || is_archive(file.name) ? 0600 : 0644;
    drafts.emplace_back(folder + "/" + file.name, mode);
    if ((delivery.error = drafts.back().write(file.content))) {
      drafts.pop_back();
      break;
    }
  }
  std::size_t placed = 0;
  for (Draft& draft : drafts) {
    if (auto failed = draft.put_in_place()) {
      delivery.error = std::move(failed);
      break;
    }
    ++placed;
  }
  if (placed == 0) return delivery;
  if (const auto synced = sync_directory(folder); !synced) return {0, synced.error()};
  delivery.done = placed;
  return delivery;
}

}  // namespace

FilePlaces::FilePlaces(std::string data_directory)
    : data_directory_(std::move(data_directory)),
      upload_({.known_hosts = data_directory_ + "/known_hosts",
               .ssh_key = data_directory_ + "/ssh_key",
               .authorities = data_directory_ + "/tls-ca.pem"}) {}

std::optional<FilePlaces::Folder> FilePlaces::folder_of(const config::FilePlace& place) const {
  const std::size_t colon = place.url.find(':');
  std::string device = place.url.substr(0, colon);
  for (char& c : device) {
    if (c >= 'A' && c <= 'Z') c = static_cast<char>(c + ('a' - 'A'));
  }
  std::string path = place.url.substr(colon + 1);
  if (device == "unix") return Folder{std::move(path), false};
  if (path.starts_with("//")) return std::nullopt;
  if (!path.empty() && !path.starts_with('/')) path = "/" + path;
  return Folder{fmt::format("{}/{}{}", data_directory_, device, path), true};
}

server::Delivery FilePlaces::deliver(const config::FilePlace& place,
                                     const std::vector<server::PublishedFile>& files,
                                     const std::atomic<bool>& give_up) {
  const auto folder = folder_of(place);
  if (!folder) return upload_.send(place, files, give_up);
  if (folder->ours) {
    if (const auto made = make_directory(folder->path); !made) return {0, made.error()};
  }
  return deliver_to(folder->path, folder->ours, files);
}

std::optional<std::uint64_t> FilePlaces::free_octets(const config::FilePlace& place) {
  const auto folder = folder_of(place);
  if (!folder) return std::nullopt;
  struct statvfs found {};
  // A folder of ours that is not there yet will be made on the data directory's disk.
  const bool known = ::statvfs(folder->path.c_str(), &found) == 0 ||
                     (folder->ours && ::statvfs(data_directory_.c_str(), &found) == 0);
  if (!known) return std::nullopt;
  return std::uint64_t{found.f_bavail} * found.f_frsize;
}

}  // namespace umbra::io
