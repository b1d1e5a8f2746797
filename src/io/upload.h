#pragma once

#include <atomic>
#include <chrono>
#include <map>
#include <memory>
#include <mutex>
#include <string>

#include "server/publication.h"

namespace umbra::io {

/// Files of the operator's that say whom to trust, and who we are.
struct UploadTrust {
  std::string known_hosts;  ///< OpenSSH's form: hosts that sftp and scp may speak to, no others
  std::string ssh_key;  ///< private key where no password is configured; its public half in .pub
  std::string authorities;  ///< PEM: CAs of https, beside the system's
};

/// Files to other machines by libcurl: ftp, sftp, scp, tftp, http and https.
///
/// A reader finds the old file or the new one where the protocol has a way to do so: ftp and sftp,
/// which scp is too, write beside it and rename (an sftp server that does not replace by renaming
/// is without the file for a moment); with http(s) it is the server's part; tftp writes straight
/// away.
class Upload {
 public:
  explicit Upload(UploadTrust trust);
  ~Upload();
  /// In this order, on one connection where the protocol has any. Blocks, one caller for each
  /// place: 10 s to connect, and no longer than 30 s without progress.
  [[nodiscard]] server::Delivery send(const config::FilePlace& place,
                                      const std::vector<server::PublishedFile>& files,
                                      const std::atomic<bool>& give_up);
  /// What has not been sent by then will not be.
  void finish_within(std::chrono::seconds grace);

 private:
  class Session;
  [[nodiscard]] Session& session(const config::FilePlace& place);

  const UploadTrust trust_;
  std::atomic<std::chrono::steady_clock::rep> end_;
  std::mutex mutex_;
  std::map<config::FilePlace, std::unique_ptr<Session>> sessions_;
};

}  // namespace umbra::io
