#pragma once

#include "base/log.h"
#include "client/trustpoint.h"

namespace umbra::io {

/// `storage pem DIRECTORY` and `on change exec COMMAND`.
///
/// The four files are symbolic links through DIRECTORY/..data, which points at a directory with one
/// generation of them and is replaced by one rename: a program that opens cert.pem and key.pem gets
/// a pair that belongs together unless the rename falls between its two opens, and `on change exec`
/// runs after it.
class PemOutlet final : public client::Outlet {
 public:
  explicit PemOutlet(Log& log) : log_(log) {}
  [[nodiscard]] Result<void> publish(const std::string& directory,
                                     const client::PemSet& set) override;
  void run(const std::string& command, const std::string& trustpoint) override;

 private:
  Log& log_;
};

}  // namespace umbra::io
