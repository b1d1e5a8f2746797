#pragma once

#include <sys/types.h>

#include <atomic>
#include <compare>
#include <filesystem>
#include <map>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
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
/// A place has one writer, whatever names lead to it: the trustpoint that wrote there first, until
/// it leaves it or ends. What one does there waits for what is under way. Among processes
/// DIRECTORY/..umbra-lock is the lock, where the file system knows locks.
class FileOutlet final : public client::Outlet {
 public:
  /// Commands are waited for on `loop`.
  FileOutlet(boost::asio::io_context& loop, Log& log) : hooks_(loop), log_(log) {}
  ~FileOutlet() override;
  FileOutlet(const FileOutlet&) = delete;
  FileOutlet& operator=(const FileOutlet&) = delete;
  [[nodiscard]] Result<void> publish_pem(std::string_view trustpoint,
                                         const config::Storage& storage,
                                         const client::PemFiles& files) override;
  [[nodiscard]] Result<void> publish_pkcs12(std::string_view trustpoint,
                                            const config::Storage& storage, ByteView archive,
                                            const client::IsOurs& ours) override;
  [[nodiscard]] Result<void> withdraw_pem(std::string_view trustpoint,
                                          const config::Storage& storage) override;
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

  /// A place, whatever names lead to it.
  struct Identity {
    dev_t device = 0;
    ino_t directory = 0;
    std::string name;  ///< of the file in it; empty = the directory itself
    friend auto operator<=>(const Identity&, const Identity&) = default;
  };

 private:
  struct Owner {
    std::string trustpoint;
    std::string path;  ///< as it is configured there
    friend bool operator==(const Owner&, const Owner&) = default;
  };
  struct Place {
    std::mutex writing;          ///< held while anything is done there
    std::optional<Owner> owner;  ///< changed with both mutexes held
    int lock = -1;               ///< an open file, or none; below `writing`
  };
  /// A place that is one's own, and that nobody else touches meanwhile.
  class Held {
   public:
    explicit Held(std::shared_ptr<Place> place)
        : place_(std::move(place)), lock_(place_->writing) {}
    Place* operator->() const { return place_.get(); }
    Place& operator*() const { return *place_; }

   private:
    std::shared_ptr<Place> place_;
    std::unique_lock<std::mutex> lock_;
  };
  /// Errors: conflict, if it is another's; storage.
  [[nodiscard]] Result<Held> claim(const Owner& owner, const Identity& identity, bool with_lock);
  [[nodiscard]] Result<Held> claim_directory(const Owner& owner);
  [[nodiscard]] Result<Held> claim_file(const Owner& owner);
  /// Errors: conflict, if somebody else has the place, and his path still leads there.
  [[nodiscard]] Result<void> is_free_for(const Owner& owner, const Place& place,
                                         const Identity& identity);
  [[nodiscard]] Result<void> keep_lock(Place& place, const std::string& path);
  void release(Place& place);
  /// All places but one that he has by this path.
  void leave_but(const Owner& owner, const Identity* kept);
  void say_kept(const std::filesystem::path& path);

  HookRunner hooks_;
  Log& log_;
  /// Of the map and the owners in it. Nothing that could hang is done while it is held: a place
  /// that does not answer holds up those alone who write there.
  std::mutex mutex_;
  std::map<Identity, std::shared_ptr<Place>> places_;
  std::atomic<std::size_t> locks_ = 0;
  std::atomic<bool> without_lock_said_ = false;
};

}  // namespace umbra::io
