#pragma once

#include <memory>
#include <mutex>
#include <optional>
#include <set>
#include <string>

#include "io/upload.h"
#include "server/publication.h"

namespace umbra::io {

/// DIR of unix:/DIR; nothing for any other place.
[[nodiscard]] std::optional<std::string> unix_folder(const config::FilePlace& place);

/// Where published files are kept: folders of this machine by themselves, other machines through
/// Upload.
///
/// unix:/DIR is that folder; it is never made, since a volume that is not mounted must not be
/// written beneath. A device, such as nvram: or flash:/CA, is a folder of the data directory:
/// DATA/nvram, DATA/flash/CA, made if missing.
class FilePlaces final : public server::FileSink {
 public:
  explicit FilePlaces(std::string data_directory);
  [[nodiscard]] server::Delivery deliver(const config::FilePlace& place,
                                         const std::vector<server::PublishedFile>& files,
                                         const std::atomic<bool>& give_up) override;
  [[nodiscard]] std::optional<std::uint64_t> free_octets(const config::FilePlace& place) override;
  /// What has not been sent to other machines by then will not be.
  void finish_within(std::chrono::seconds grace) { upload_.finish_within(grace); }

 private:
  struct Folder {
    std::string path;
    bool ours = false;  ///< in the data directory: made if missing, for its owner alone
  };
  /// Nothing if it is another machine's.
  [[nodiscard]] std::optional<Folder> folder_of(const config::FilePlace& place) const;

  /// Of what processes that died have left: there may be a million files to look through.
  void clear_up_once(const std::string& folder);

  const std::string data_directory_;
  std::mutex mutex_;
  std::set<std::string> cleared_up_;
  Upload upload_;
};

}  // namespace umbra::io
