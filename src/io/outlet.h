#pragma once

#include <sys/types.h>

#include <compare>
#include <filesystem>
#include <map>
#include <mutex>
#include <string>
#include <vector>

#include "base/log.h"
#include "client/outlet.h"
#include "io/hook.h"

namespace umbra::io {

/// `storage pem`, `storage pkcs12` and `on change exec`.
///
/// The files of a PEM directory are symbolic links through DIRECTORY/..data, which points at a
/// directory with one generation of them and is replaced by one rename. Who resolves ..data once
/// and opens the files below that sees one generation, or finds it gone and resolves again; who
/// opens bundle.pem has key and certificates by one open. A program that opens cert.pem and key.pem
/// one after the other has a pair that belongs together unless the rename falls between the two,
/// and `on change exec` tells it when that is over.
///
/// What is found under one of these names and is not such a link was there before: it is kept
/// beside it as NAME.before-umbra, which is said in the log, and never takes the place of another
/// one. So it is with an archive that is somebody else's.
///
/// A directory has one writer, whatever names lead to it: the one who wrote there first, until he
/// leaves it or ends. Among processes DIRECTORY/..umbra-lock is the lock, where the file system
/// knows locks.
class FileOutlet final : public client::Outlet {
 public:
  /// Commands are waited for on `loop`.
  FileOutlet(boost::asio::io_context& loop, Log& log) : hooks_(loop), log_(log) {}
  ~FileOutlet() override;
  FileOutlet(const FileOutlet&) = delete;
  FileOutlet& operator=(const FileOutlet&) = delete;
  [[nodiscard]] Result<void> publish_pem(const config::Storage& storage,
                                         const client::PemFiles& files) override;
  [[nodiscard]] Result<void> publish_pkcs12(const config::Storage& storage, ByteView archive,
                                            const client::IsOurs& ours) override;
  [[nodiscard]] Result<void> withdraw_pem(const config::Storage& storage) override;
  [[nodiscard]] Result<void> withdraw_pkcs12(const config::Storage& storage,
                                             const client::IsOurs& ours) override;
  void leave(const config::Storage& storage) override;
  [[nodiscard]] Result<Bytes> read_pem(const config::Storage& storage) override;
  [[nodiscard]] Result<Bytes> read_pkcs12(const config::Storage& storage) override;
  [[nodiscard]] std::vector<std::string> kept_keys(const config::Storage& storage,
                                                   bool archive) override;
  void run(client::Hook hook, std::function<void(Result<void>)> ended) override {
    hooks_.run(std::move(hook), std::move(ended));
  }

  /// A place, whatever names lead to it.
  struct Identity {
    dev_t device = 0;
    ino_t directory = 0;
    std::string name;  ///< of the file in it; empty = the directory itself
    friend auto operator<=>(const Identity&, const Identity&) = default;
  };

 private:
  struct Claim {
    Identity identity;
    int lock = -1;  ///< an open file, or none
  };
  /// Errors: conflict, if it is another's; storage.
  [[nodiscard]] Result<void> claim(const config::Storage& storage, const Identity& identity,
                                   bool with_lock);
  [[nodiscard]] Result<void> claim_directory(const config::Storage& storage);
  [[nodiscard]] Result<void> claim_file(const config::Storage& storage);
  void say_kept(const std::filesystem::path& path);

  HookRunner hooks_;
  Log& log_;
  std::mutex mutex_;
  std::map<std::string, Claim> claims_;     ///< by the path that is configured
  std::map<Identity, std::string> owners_;  ///< the paths of those
};

}  // namespace umbra::io
