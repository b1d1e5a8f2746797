#pragma once

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
/// one.
class FileOutlet final : public client::Outlet {
 public:
  /// Commands are waited for on `loop`.
  FileOutlet(boost::asio::io_context& loop, Log& log) : hooks_(loop), log_(log) {}
  [[nodiscard]] Result<void> publish_pem(const config::Storage& storage,
                                         const client::PemFiles& files) override;
  [[nodiscard]] Result<void> publish_pkcs12(const config::Storage& storage,
                                            ByteView archive) override;
  [[nodiscard]] Result<void> withdraw_pem(const config::Storage& storage) override;
  [[nodiscard]] Result<void> withdraw_pkcs12(const config::Storage& storage,
                                             const std::function<bool(ByteView)>& ours) override;
  void run(client::Hook hook, std::function<void(Result<void>)> ended) override {
    hooks_.run(std::move(hook), std::move(ended));
  }

 private:
  HookRunner hooks_;
  Log& log_;
};

}  // namespace umbra::io
