#include "simulation/disk.h"

#include <fmt/format.h>

#include <algorithm>
#include <numeric>

namespace umbra::simulation {
namespace {

// What a disk writes whole or not at all.
constexpr std::uint64_t sector = 512;
constexpr std::uint64_t million = 1'000'000;

void put(Bytes& into, std::uint64_t offset, ByteView data) {
  if (into.size() < offset + data.size()) into.resize(offset + data.size());
  std::copy(data.begin(), data.end(), into.begin() + static_cast<std::ptrdiff_t>(offset));
}

}  // namespace

bool Disk::exists(const std::string& name) const {
  const auto found = files_.find(name);
  return found != files_.end() && found->second.there;
}

std::uint64_t Disk::Counts::failed() const {
  return std::accumulate(errors.begin(), errors.end(), full);
}

void Disk::fail_later(Call call, std::uint64_t after, std::uint64_t times) {
  failures_.push_back({call, after, times});
}

void Disk::mend() {
  errors_per_million = 0;
  failures_.clear();
  room.reset();
  last_in.reset();
}

Disk::Outcome Disk::fails(Call call) {
  if (!on_) return Outcome::error;
  if (spared) return Outcome::done;
  bool failed = errors_per_million != 0 && chance_.below(million) < errors_per_million;
  for (Failure& failure : failures_) {
    if (failure.call != call) continue;
    if (failure.after > 0) {
      --failure.after;
    } else {
      --failure.times;
      failed = true;
    }
  }
  if (!failed) return Outcome::done;
  std::erase_if(failures_, [](const Failure& failure) { return failure.times == 0; });
  ++counts_.errors[static_cast<std::size_t>(call)];
  return Outcome::error;
}

bool Disk::is_last(bool& made) {
  made = true;
  ++counts_.changes;
  if (spared || !last_in || --*last_in > 0) return false;
  last_in.reset();
  ++counts_.last;
  made = chance_.one_in(2);
  return true;
}

void Disk::die() {
  crash();
  if (died) died();
}

Disk::Outcome Disk::open(const std::string& name, bool create) {
  if (const auto outcome = fails(Call::other); outcome != Outcome::done) return outcome;
  File& file = files_[name];
  if (file.there) return Outcome::done;
  if (!create) return Outcome::error;
  file.there = true;
  return Outcome::done;
}

Disk::Outcome Disk::read(const std::string& name, std::uint64_t offset,
                         std::span<std::uint8_t> into, std::size_t& got) {
  if (const auto outcome = fails(Call::read); outcome != Outcome::done) {
    if (on_ && tell) tell(fmt::format("read of {} at {} fails", name, offset));
    return outcome;
  }
  const Bytes& now = files_[name].now;
  got = offset >= now.size() ? 0 : std::min<std::size_t>(into.size(), now.size() - offset);
  std::copy_n(now.begin() + static_cast<std::ptrdiff_t>(std::min(offset, now.size())), got,
              into.begin());
  std::fill(into.begin() + static_cast<std::ptrdiff_t>(got), into.end(), std::uint8_t{0});
  return Outcome::done;
}

Disk::Outcome Disk::write(const std::string& name, std::uint64_t offset, ByteView data) {
  if (!on_) return Outcome::error;
  File& file = files_[name];
  const std::uint64_t end = offset + data.size();
  if (room && end > file.now.size()) {
    const std::uint64_t more = end - file.now.size();
    if (more > *room) {
      ++counts_.full;
      if (tell) tell(fmt::format("no room for {} octets of {}", more, name));
      return Outcome::full;
    }
    *room -= more;
  }
  bool made = true;
  const bool last = is_last(made);
  ByteView written = data;
  const bool failed = !last && fails(Call::write) != Outcome::done;
  if (failed) written = data.first(chance_.below(data.size() + 1));
  if (made && !written.empty()) {
    put(file.now, offset, written);
    file.loose.push_back({.offset = offset, .data = to_bytes(written)});
  }
  if (last) {
    if (tell)
      tell(fmt::format("last change: write of {} at {} {}", name, offset,
                       made ? "begun" : "not made"));
    die();
    return Outcome::error;
  }
  if (failed && tell) tell(fmt::format("write of {} at {} fails", name, offset));
  return failed ? Outcome::error : Outcome::done;
}

Disk::Outcome Disk::truncate(const std::string& name, std::uint64_t size) {
  if (const auto outcome = fails(Call::other); outcome != Outcome::done) return outcome;
  bool made = true;
  const bool last = is_last(made);
  File& file = files_[name];
  if (made) {
    file.now.resize(size);
    file.loose.push_back({.size = size});
  }
  if (!last) return Outcome::done;
  if (tell) tell(fmt::format("last change: {} cut to {} {}", name, size, made ? "" : "not made"));
  die();
  return Outcome::error;
}

Disk::Outcome Disk::sync(const std::string& name, bool directory) {
  if (!on_) return Outcome::error;
  bool made = true;
  const bool last = is_last(made);
  ++counts_.syncs;
  File& file = files_[name];
  if (!last && fails(Call::sync) != Outcome::done) {
    // The kernel says so once; what was not written then, it forgets.
    for (Change& change : file.loose) change.given_up = true;
    if (tell) tell(fmt::format("sync of {} fails", name));
    return Outcome::error;
  }
  if (made) {
    make_last(file);
    if (directory) sync_directory();
  }
  if (!last) return Outcome::done;
  if (tell) tell(fmt::format("last change: sync of {} {}", name, made ? "made" : "not made"));
  die();
  return Outcome::error;
}

void Disk::sync_directory() {
  for (auto& [name, file] : files_) {
    file.listed = file.there;
    file.before.reset();
  }
}

Disk::Outcome Disk::remove(const std::string& name, bool directory) {
  if (const auto outcome = fails(Call::other); outcome != Outcome::done) return outcome;
  bool made = true;
  const bool last = is_last(made);
  if (made) {
    File& file = files_[name];
    std::optional<Bytes> before = file.listed ? std::optional(file.lasting) : file.before;
    file = File{};
    file.before = std::move(before);
    if (directory) sync_directory();
  }
  if (!last) return Outcome::done;
  if (tell) tell(fmt::format("last change: removal of {} {}", name, made ? "made" : "not made"));
  die();
  return Outcome::error;
}

std::uint64_t Disk::size(const std::string& name) const {
  const auto found = files_.find(name);
  return found == files_.end() ? 0 : found->second.now.size();
}

std::shared_ptr<Shared> Disk::shared(const std::string& name) { return files_[name].shared; }

/// Of what was given up, chance has kept something or nothing, as whole sectors; what was written
/// since is there.
void Disk::make_last(File& file) {
  const auto lost = [](const Change& change) { return change.given_up; };
  if (std::any_of(file.loose.begin(), file.loose.end(), lost)) {
    Bytes left = sectors_of(
        file, [this](const Change& change) { return change.given_up && chance_.one_in(2); });
    left.resize(file.now.size());
    for (const Change& change : file.loose) {
      if (change.given_up || change.size) continue;
      const std::uint64_t first = change.offset / sector * sector;
      const std::uint64_t end = std::min<std::uint64_t>(
          (change.offset + change.data.size() + sector - 1) / sector * sector, file.now.size());
      if (first < end) put(left, first, ByteView(file.now).subspan(first, end - first));
    }
    file.lasting = std::move(left);
  } else {
    for (const Change& change : file.loose) {
      if (change.size) {
        file.lasting.resize(*change.size);
      } else {
        put(file.lasting, change.offset, change.data);
      }
    }
  }
  file.loose.clear();
}

/// The lasting octets with those changes on top that `keeps` lets through: a whole sector as it was
/// after one of its changes, never a mixture of them.
Bytes Disk::sectors_of(const File& file, const std::function<bool(const Change&)>& keeps) {
  Bytes left = file.lasting;
  std::map<std::uint64_t, bool> stopped;  // each sector stays as it was before the first lost one
  bool size_stopped = false;
  for (const Change& change : file.loose) {
    if (change.size) {
      size_stopped = size_stopped || !keeps(change);
      if (!size_stopped) left.resize(*change.size);
      continue;
    }
    const std::uint64_t end = change.offset + change.data.size();
    for (std::uint64_t at = change.offset; at < end;) {
      const std::uint64_t number = at / sector;
      const std::uint64_t stop = std::min(end, (number + 1) * sector);
      bool& gone = stopped[number];
      if (!gone && !keeps(change)) gone = true;
      if (!gone) put(left, at, ByteView(change.data).subspan(at - change.offset, stop - at));
      at = stop;
    }
  }
  return left;
}

Bytes Disk::left_of(const File& file) {
  if (file.loose.empty()) return file.lasting;
  switch (chance_.below(4)) {
    case 0:  // nothing
      return file.lasting;
    case 1:  // all
      return file.now;
    case 2: {  // in order, up to some sector
      std::uint64_t whole = 0;
      for (const Change& change : file.loose) whole += 1 + change.data.size() / sector;
      std::uint64_t left = chance_.below(whole + 1);
      ++counts_.torn;
      return sectors_of(file, [&left](const Change&) { return left > 0 && left-- > 0; });
    }
    default: {  // some sectors and not others
      const std::uint64_t kept = chance_.between(1, 9);
      ++counts_.torn;
      return sectors_of(file, [this, kept](const Change&) { return chance_.below(10) < kept; });
    }
  }
}

void Disk::crash() {
  ++counts_.crashes;
  ++epoch_;
  on_ = false;
  last_in.reset();
  for (auto& [name, file] : files_) {
    std::optional<Bytes> left;
    if (file.there && (file.listed || chance_.one_in(2))) left = left_of(file);
    if (!left && file.before && chance_.one_in(2)) left = file.before;
    file = File{};
    if (!left) continue;
    file.there = file.listed = true;
    file.lasting = *left;
    file.now = *std::move(left);
  }
}

Disk::Image Disk::image() const {
  Image all;
  for (const auto& [name, file] : files_) {
    if (file.there) all[name] = file.now;
  }
  return all;
}

void Disk::load(const Image& image) {
  for (const auto& [name, octets] : image) {
    File& file = files_[name];
    file.there = file.listed = true;
    file.now = file.lasting = octets;
  }
}

}  // namespace umbra::simulation
