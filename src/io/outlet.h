#pragma once

#include <chrono>
#include <filesystem>
#include <map>
#include <mutex>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "base/log.h"
#include "client/outlet.h"
#include "io/hook.h"
#include "io/places.h"
#include "io/slow_work.h"

namespace umbra::io {

/// A place that cannot be a trustpoint's as the host is now.
struct RefusedPlace {
  std::string trustpoint;
  std::string path;  ///< as configured
  std::string why;
};

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
class FileOutlet final : public client::Outlet {
 public:
  /// Commands are waited for on `loop`.
  FileOutlet(boost::asio::io_context& loop, Log& log) : hooks_(loop), log_(log), places_(log) {}
  void away(std::string_view trustpoint, std::function<void()> work) override {
    slow_.run(std::string(trustpoint), std::move(work));
  }
  /// Nothing is written there (conflict) until another list is given. From any thread.
  void refuse(std::vector<RefusedPlace> places);
  /// At the end. Out: false, if a file server does not answer: who waits for it ends with the
  /// process.
  [[nodiscard]] bool finish_within(std::chrono::seconds grace) {
    return slow_.finish_within(grace);
  }
  [[nodiscard]] Result<void> publish_pem(std::string_view trustpoint,
                                         const config::Storage& storage,
                                         const client::PemFiles& files) override;
  [[nodiscard]] Result<void> publish_pkcs12(std::string_view trustpoint,
                                            const config::Storage& storage, ByteView archive,
                                            const client::IsOurs& ours) override;
  [[nodiscard]] Result<void> hold_pkcs12(std::string_view trustpoint,
                                         const config::Storage& storage) override;
  [[nodiscard]] Result<void> withdraw_pem(std::string_view trustpoint,
                                          const config::Storage& storage,
                                          const client::IsOurs& ours) override;
  [[nodiscard]] Result<void> withdraw_pkcs12(std::string_view trustpoint,
                                             const config::Storage& storage,
                                             const client::IsOurs& ours) override;
  void leave(std::string_view trustpoint, const config::Storage& storage) override;
  [[nodiscard]] Result<Bytes> read_pem(const config::Storage& storage) override;
  [[nodiscard]] Result<Bytes> read_pkcs12(const config::Storage& storage) override;
  [[nodiscard]] std::vector<std::string> kept_keys(const config::Storage& storage,
                                                   bool archive) override;
  void run(client::Hook hook, std::function<void(Result<void>)> ended) override {
    hooks_.run(std::move(hook), std::move(ended));
  }

 private:
  void say_kept(const std::filesystem::path& path);
  [[nodiscard]] Result<void> is_allowed(std::string_view trustpoint,
                                        const config::Storage& storage) const;

  HookRunner hooks_;
  Log& log_;
  Places places_;
  mutable std::mutex mutex_;
  std::map<std::pair<std::string, std::string>, std::string> refused_;
  SlowWork slow_;  ///< ends first
};

}  // namespace umbra::io
