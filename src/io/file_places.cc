#include "io/file_places.h"

#include <fmt/format.h>
#include <sys/statvfs.h>

#include "io/files.h"

namespace umbra::io {
namespace {

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
    auto draft = Draft::make(folder + "/" + file.name, mode);
    const auto written =
        draft ? draft->write(file.content) : Result<void>(tl::unexpected(draft.error()));
    if (!written) {
      delivery.error = written.error();
      break;
    }
    drafts.push_back(*std::move(draft));
  }
  std::size_t placed = 0;
  for (Draft& draft : drafts) {
    if (auto failed = draft.put_in_place(); !failed) {
      delivery.error = std::move(failed).error();
      break;
    }
    ++placed;
  }
  if (placed == 0) return delivery;
  if (const auto synced = sync_directory(folder); !synced) return {0, synced.error()};
  delivery.done = placed;
  return delivery;
}

/// In small letters.
std::string device_of(const std::string& url) {
  std::string device = url.substr(0, url.find(':'));
  for (char& c : device) {
    if (c >= 'A' && c <= 'Z') c = static_cast<char>(c + ('a' - 'A'));
  }
  return device;
}

}  // namespace

std::optional<std::string> unix_folder(const config::FilePlace& place) {
  if (device_of(place.url) != "unix") return std::nullopt;
  return place.url.substr(place.url.find(':') + 1);
}

FilePlaces::FilePlaces(std::string data_directory)
    : data_directory_(std::move(data_directory)),
      upload_({.known_hosts = data_directory_ + "/known_hosts",
               .ssh_key = data_directory_ + "/ssh_key",
               .authorities = data_directory_ + "/tls-ca.pem"}) {}

std::optional<FilePlaces::Folder> FilePlaces::folder_of(const config::FilePlace& place) const {
  if (auto folder = unix_folder(place)) return Folder{*std::move(folder), false};
  std::string path = place.url.substr(place.url.find(':') + 1);
  if (path.starts_with("//")) return std::nullopt;
  if (!path.empty() && !path.starts_with('/')) path = "/" + path;
  return Folder{fmt::format("{}/{}{}", data_directory_, device_of(place.url), path), true};
}

void FilePlaces::clear_up_once(const std::string& folder) {
  {
    const std::lock_guard lock(mutex_);
    if (!cleared_up_.insert(folder).second) return;
  }
  remove_abandoned_drafts(folder, "");
}

server::Delivery FilePlaces::deliver(const config::FilePlace& place,
                                     const std::vector<server::PublishedFile>& files,
                                     const std::atomic<bool>& give_up) {
  const auto folder = folder_of(place);
  if (!folder) return upload_.send(place, files, give_up);
  if (folder->ours) {
    if (const auto made = make_directory(folder->path); !made) return {0, made.error()};
  }
  clear_up_once(folder->path);
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
