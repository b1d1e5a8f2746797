#pragma once

#include <functional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "base/bytes.h"
#include "base/result.h"
#include "config/model.h"

namespace umbra::client {

/// One set of PEM texts that belong together.
struct PemSet {
  std::string ca;    ///< the CA certificate; both, while the next one is included
  std::string cert;  ///< the identity
  std::string
      key;  ///< its key, PKCS #8, not encrypted: the operator asked for it with `storage pem`
  std::string chain;  ///< identity, then what `ca` has
};

/// What `storage pem` keeps.
struct PemFiles {
  PemSet active;
  PemSet rollover;  ///< takes over at the next switch: nothing, or the next CA alone, or all of it
  PemSet previous;  ///< the CA that the last switch ended, until the next change; or nothing
};

/// `on change exec`, and what its command is told.
struct Hook {
  std::string trustpoint;
  std::string command;
  Seconds limit{60};
  std::vector<std::pair<std::string, std::string>> variables;
};

/// Whether what a file holds is one of what the trustpoint has made.
using IsOurs = std::function<bool(ByteView)>;

/// What other programs see of a trustpoint: files and a command. The driver does the writing and
/// the running. A place is written by one trustpoint at a time, which is told by its name: by the
/// first that writes there, until it leaves.
///
/// A file server that is down keeps whoever asks it for as long as it likes. So all but `away` and
/// `run` are called from within `away` alone.
class Outlet {
 public:
  virtual ~Outlet() = default;
  /// Runs `work` where it may wait: it holds up what is given later for the same trustpoint, and
  /// nothing else. It may be run before this returns. Not at all if the driver ends first.
  virtual void away(std::string_view trustpoint, std::function<void()> work) = 0;
  /// Replaces what the directory holds, atomically: a reader sees all old or all new files. Errors:
  /// conflict (it is another's), storage.
  [[nodiscard]] virtual Result<void> publish_pem(std::string_view trustpoint,
                                                 const config::Storage& storage,
                                                 const PemFiles& files) = 0;
  /// Replaces the file, atomically; an archive that is not one of ours is kept beside it.
  /// Errors: the same.
  [[nodiscard]] virtual Result<void> publish_pkcs12(std::string_view trustpoint,
                                                    const config::Storage& storage,
                                                    ByteView archive, const IsOurs& ours) = 0;
  /// Has the place of the file, as whoever publishes there, and writes nothing. Errors: the same.
  [[nodiscard]] virtual Result<void> hold_pkcs12(std::string_view trustpoint,
                                                 const config::Storage& storage) = 0;
  /// Takes away what it has put into the directory, the shadow set too, and nothing of anybody
  /// else's; the directory stays. `ours` says of cert.pem there whether it is the trustpoint's.
  /// Nothing there is no error. Errors: conflict (it is another's, and stays), storage.
  [[nodiscard]] virtual Result<void> withdraw_pem(std::string_view trustpoint,
                                                  const config::Storage& storage,
                                                  const IsOurs& ours) = 0;
  /// The same of the file, if `ours` says of its content that it is one of ours. Errors: conflict
  /// (it is somebody else's, and stays), storage.
  [[nodiscard]] virtual Result<void> withdraw_pkcs12(std::string_view trustpoint,
                                                     const config::Storage& storage,
                                                     const IsOurs& ours) = 0;
  /// The trustpoint writes nothing more there: the place may be another one's. Where it already
  /// is, nothing changes.
  virtual void leave(std::string_view trustpoint, const config::Storage& storage) = 0;
  /// What other programs find there: PEM with a certificate, or an archive; empty if there is
  /// nothing. Errors: storage.
  [[nodiscard]] virtual Result<Bytes> read_pem(const config::Storage& storage) = 0;
  [[nodiscard]] virtual Result<Bytes> read_pkcs12(const config::Storage& storage) = 0;
  /// The files beside it in which somebody else's keys were kept.
  [[nodiscard]] virtual std::vector<std::string> kept_keys(const config::Storage& storage,
                                                           bool archive) = 0;
  /// Does not wait for the command. `ended` is called once, from any thread, when it has ended:
  /// an error is how it failed. Not at all if the driver ends first.
  virtual void run(Hook hook, std::function<void(Result<void>)> ended) = 0;
};

/// Where nothing is to be seen: it writes nothing, finds nothing, keeps nobody waiting, and every
/// command ends well at once.
class NoOutlet : public Outlet {
 public:
  Result<void> publish_pem(std::string_view, const config::Storage&, const PemFiles&) override {
    return {};
  }
  Result<void> publish_pkcs12(std::string_view, const config::Storage&, ByteView,
                              const IsOurs&) override {
    return {};
  }
  Result<void> hold_pkcs12(std::string_view, const config::Storage&) override { return {}; }
  void away(std::string_view, std::function<void()> work) override { work(); }
  Result<void> withdraw_pem(std::string_view, const config::Storage&, const IsOurs&) override {
    return {};
  }
  Result<void> withdraw_pkcs12(std::string_view, const config::Storage&, const IsOurs&) override {
    return {};
  }
  void leave(std::string_view, const config::Storage&) override {}
  Result<Bytes> read_pem(const config::Storage&) override { return Bytes(); }
  Result<Bytes> read_pkcs12(const config::Storage&) override { return Bytes(); }
  std::vector<std::string> kept_keys(const config::Storage&, bool) override { return {}; }
  void run(Hook, std::function<void(Result<void>)> ended) override { ended({}); }
};

}  // namespace umbra::client
