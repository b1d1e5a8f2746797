#pragma once

#include <sys/types.h>

#include <atomic>
#include <compare>
#include <filesystem>
#include <map>
#include <memory>
#include <mutex>
#include <optional>
#include <set>
#include <string>
#include <utility>

#include "base/log.h"
#include "base/result.h"

namespace umbra::io {

/// Who writes where: a place has one writer, whatever names lead to it. It is the trustpoint that
/// wrote there first, until it leaves it or ends; what one does there waits for what is under way.
///
/// Among processes a locked file is the sign, where the file system knows locks:
/// DIRECTORY/..umbra-lock of a directory, .NAME.umbra-lock beside the file NAME.
class Places {
 public:
  explicit Places(Log& log) : log_(log) {}
  ~Places();
  Places(const Places&) = delete;
  Places& operator=(const Places&) = delete;

  struct Owner {
    std::string trustpoint;
    std::string path;  ///< as it is configured there
    friend auto operator<=>(const Owner&, const Owner&) = default;
  };

 private:
  /// A place, whatever names lead to it.
  struct Identity {
    dev_t device = 0;
    ino_t directory = 0;
    std::string name;  ///< of the file in it; empty = the directory itself
    friend auto operator<=>(const Identity&, const Identity&) = default;
  };
  struct Place {
    std::mutex writing;          ///< held while anything is done there
    std::optional<Owner> owner;  ///< changed with both mutexes held
    // Below `writing`.
    int lock = -1;  ///< an open file, or none
    bool without_lock_said = false;
  };

 public:
  /// A place that is one's own, and that nobody else touches meanwhile.
  class Held {
   public:
    explicit Held(std::shared_ptr<Place> place)
        : place_(std::move(place)), lock_(place_->writing) {}

   private:
    friend class Places;
    std::shared_ptr<Place> place_;
    std::unique_lock<std::mutex> lock_;
  };
  /// The directory, or the file, which need not be there, while its directory must. What the
  /// owner's path led to before is left. Errors: conflict, if somebody else has it and his path
  /// still leads there, or another process; storage.
  [[nodiscard]] Result<Held> claim_directory(const Owner& owner);
  [[nodiscard]] Result<Held> claim_file(const Owner& owner);
  /// Whatever he has by this path may be another one's.
  void leave(const Owner& owner) { leave_but(owner, nullptr); }
  /// What is locked for who writes there: it goes when he leaves, or with the last of his files.
  [[nodiscard]] static std::filesystem::path lock_of_directory(const std::filesystem::path& path);
  [[nodiscard]] static std::filesystem::path lock_of_file(const std::filesystem::path& path);

 private:
  [[nodiscard]] static std::optional<Identity> identity_of(const std::filesystem::path& directory,
                                                           std::string name);
  [[nodiscard]] Result<Held> claim(const Owner& owner, const Identity& identity);
  /// Errors: conflict, if somebody else has the place, and his path still leads there.
  [[nodiscard]] Result<void> is_free_for(const Owner& owner, const Place& place,
                                         const Identity& identity);
  [[nodiscard]] Result<void> keep_lock(Place& place, const std::filesystem::path& file,
                                       const std::string& of);
  void release(Place& place);
  /// With the locked file, if it is still at its place.
  void give_up_lock(Place& place, const std::filesystem::path& file);
  /// Below mutex_: who has it from now on, or nobody.
  void set_owner(const Identity& identity, Place& place, std::optional<Owner> owner);
  [[nodiscard]] static std::filesystem::path lock_of(const Owner& owner, const Identity& identity);
  void say_without_lock(const std::string& of, const std::string& why);
  /// All places but one that he has by this path.
  void leave_but(const Owner& owner, const Identity* kept);

  Log& log_;
  /// Of the map and the owners in it. Nothing that could hang is done while it is held: a place
  /// that does not answer holds up those alone who write there.
  std::mutex mutex_;
  std::map<Identity, std::shared_ptr<Place>> places_;
  std::map<Owner, std::set<Identity>> of_owner_;
  std::atomic<std::size_t> locks_ = 0;
  std::atomic<bool> few_files_said_ = false;
};

}  // namespace umbra::io
