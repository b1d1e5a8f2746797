#pragma once

#include <array>
#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "base/bytes.h"
#include "simulation/chance.h"

namespace umbra::simulation {

/// What one file's connections share, and what dies with them: locks, and the WAL index.
struct Shared {
  int readers = 0;  ///< SHARED or more
  const void* reserved = nullptr;
  const void* pending = nullptr;
  const void* exclusive = nullptr;
  std::vector<std::unique_ptr<std::uint8_t[]>> regions;
  std::map<int, int> shm_readers;
  std::map<int, const void*> shm_writer;
};

/// The disk of one machine: what its processes see, what a loss of power leaves of it, and how it
/// fails. A write lasts when its file was synced after it; until then a crash loses it, keeps it,
/// or keeps some of its sectors, whatever came later. A new file's name lasts when the directory
/// was synced, and so does a removal.
class Disk {
 public:
  enum class Outcome { done, error, full };
  /// What may fail. `other`: a file is opened, cut or removed.
  enum class Call : std::uint8_t { read, write, sync, other };
  static constexpr std::size_t kinds = 4;
  struct Counts {
    std::uint64_t changes = 0, syncs = 0, full = 0, crashes = 0, torn = 0;
    std::uint64_t last = 0;  ///< crashes at a change that was the last
    std::array<std::uint64_t, kinds> errors{};
    [[nodiscard]] std::uint64_t failed() const;
  };

  explicit Disk(Chance chance) : chance_(chance) {}

  // How it fails; all of it may be changed at any time.
  unsigned errors_per_million = 0;         ///< of every call that may fail
  bool spared = false;                     ///< whoever looks now sees no errors, and makes none
  std::optional<std::uint64_t> room{};     ///< octets that may still be added: none = enough
  std::optional<std::uint64_t> last_in{};  ///< so many changes from now is the last one
  std::function<void()> died;              ///< the last one was made, or not
  std::function<void(const std::string&)> tell;

  /// After so many calls of this kind, so many fail.
  void fail_later(Call call, std::uint64_t after, std::uint64_t times);
  /// It works from now on.
  void mend();

  /// Power is lost now: everything open is closed, and what was not synced is as chance has it.
  void crash();
  /// After a crash: it can be used again.
  void power_on() { on_ = true; }
  [[nodiscard]] bool on() const { return on_; }
  /// Changes with each crash: what was opened before is of no use any more.
  [[nodiscard]] std::uint64_t epoch() const { return epoch_; }

  // What SQLite asks for.
  [[nodiscard]] bool exists(const std::string& name) const;
  [[nodiscard]] Outcome open(const std::string& name, bool create);
  [[nodiscard]] Outcome read(const std::string& name, std::uint64_t offset,
                             std::span<std::uint8_t> into, std::size_t& got);
  [[nodiscard]] Outcome write(const std::string& name, std::uint64_t offset, ByteView data);
  [[nodiscard]] Outcome truncate(const std::string& name, std::uint64_t size);
  [[nodiscard]] Outcome sync(const std::string& name, bool directory);
  [[nodiscard]] Outcome remove(const std::string& name, bool directory);
  [[nodiscard]] std::uint64_t size(const std::string& name) const;
  [[nodiscard]] std::shared_ptr<Shared> shared(const std::string& name);
  [[nodiscard]] const Counts& counts() const { return counts_; }

  /// All files as they last, to begin another disk with.
  using Image = std::map<std::string, Bytes>;
  [[nodiscard]] Image image() const;
  void load(const Image& image);

 private:
  /// A change that was not synced: octets at a place, or a new size.
  struct Change {
    std::uint64_t offset = 0;
    Bytes data{};
    std::optional<std::uint64_t> size{};
    bool given_up = false;  ///< a sync of it has failed: another one says nothing of it
  };
  struct File {
    bool there = false;
    Bytes now;
    bool listed = false;  ///< its name lasts
    Bytes lasting;
    std::vector<Change> loose;
    std::optional<Bytes> before;  ///< of this name, removed, and the removal does not last yet
    std::shared_ptr<Shared> shared = std::make_shared<Shared>();
  };

  struct Failure {
    Call call;
    std::uint64_t after, times;
  };
  [[nodiscard]] Outcome fails(Call call);
  /// True: the change that is to be made now is the last. `made`: it is still made.
  [[nodiscard]] bool is_last(bool& made);
  void die();
  void sync_directory();
  [[nodiscard]] Bytes left_of(const File& file);
  void make_last(File& file);
  [[nodiscard]] static Bytes sectors_of(const File& file,
                                        const std::function<bool(const Change&)>& keeps);

  Chance chance_;
  std::map<std::string, File> files_;
  Counts counts_;
  std::vector<Failure> failures_;
  std::uint64_t epoch_ = 0;
  bool on_ = true;
};

}  // namespace umbra::simulation
