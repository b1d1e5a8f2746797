#include "io/storage_places.h"

#include <fmt/format.h>
#include <sys/stat.h>

#include <algorithm>
#include <array>
#include <filesystem>
#include <map>
#include <optional>
#include <string_view>
#include <utility>

#include "config/difference.h"
#include "io/file_places.h"
#include "server/ios_files.h"

namespace umbra::io {
namespace {

namespace fs = std::filesystem;

constexpr const char* one_each = "expected: a place of its own for each trustpoint";

/// What `storage pem` keeps in its directory, beside names that begin with two dots.
constexpr std::array set_names = {"ca.pem",     "cert.pem", "chain.pem", "key.pem",
                                  "bundle.pem", "rollover", "previous"};

/// A directory, whatever names lead to it.
using Node = std::pair<dev_t, ino_t>;

std::optional<Node> node_of(const fs::path& path) {
  struct stat found {};
  if (::stat(path.c_str(), &found) != 0) return std::nullopt;
  return Node{found.st_dev, found.st_ino};
}

/// Without the links in what is there of it.
fs::path resolved(const std::string& path) {
  std::error_code error;
  fs::path all = fs::weakly_canonical(path, error);
  if (error) all = fs::path(path).lexically_normal();
  return all.has_filename() ? all : all.parent_path();
}

/// The path itself, then what is above it.
std::vector<fs::path> upwards(fs::path path) {
  std::vector<fs::path> all;
  for (;; path = path.parent_path()) {
    all.push_back(path);
    if (path == path.parent_path()) return all;
  }
}

/// A file by its directory and name: itself it may be replaced.
struct FileAt {
  std::optional<Node> directory;
  fs::path path;
  explicit FileAt(const std::string& name) : path(resolved(fs::path(name).parent_path().string())) {
    directory = node_of(path);
    path /= fs::path(name).filename();
  }
  bool operator==(const FileAt& other) const {
    return path == other.path ||
           (directory && directory == other.directory && path.filename() == other.path.filename());
  }
};

/// A directory that may not be there yet.
struct DirectoryAt {
  fs::path path;
  std::optional<Node> node;
  explicit DirectoryAt(const fs::path& name) : path(resolved(name.string())), node(node_of(path)) {}
  bool operator==(const DirectoryAt& other) const {
    return node && other.node ? *node == *other.node : path == other.path;
  }
};

/// Whether `storage pem` keeps something of this name in its directory.
bool is_of_set(const std::string& name) {
  return name.starts_with("..") ||
         std::find(set_names.begin(), set_names.end(), name) != set_names.end();
}

/// Where a certificate server publishes on this host.
struct Published {
  const config::Server* server;
  server::PublicationPlace place;
  bool asked;  ///< whether it is new, or something of what goes there
  DirectoryAt folder;
  /// The directories that it is below by a name that a set there would have.
  std::vector<DirectoryAt> set_above = {};

  [[nodiscard]] bool writes(const std::string& name) const {
    return server::is_written_to(place, *server, name);
  }
};

struct Place {
  const config::Trustpoint* trustpoint;
  const config::Storage* storage;
  bool file;
  bool asked;  ///< whether it is new
};

class Examination {
 public:
  Examination(const config::Parsed& parsed, const OwnPlaces& own,
              const config::Configuration* before)
      : parsed_(parsed), own_(own) {
    if (!own.data_directory.empty()) {
      data_ = resolved(fs::absolute(own.data_directory).string());
      data_node_ = node_of(data_);
    }
    const auto add_file = [this](const std::string& name, const char* what) {
      if (!name.empty()) files_.push_back({FileAt(fs::absolute(name).string()), what});
    };
    add_file(own.config_file, "the configuration file");
    if (!own.config_file.empty()) {
      add_file(resolved(fs::absolute(own.config_file).string()).string() + "~",
               "where \"write memory\" keeps the configuration of before");
    }
    add_file(own.passphrase_file, "the file of the passphrase");
    add_file(own.socket, "the console's socket");
    std::map<std::string_view, const config::Trustpoint*> by_name;
    if (before) {
      for (const auto& one : before->trustpoints) by_name.emplace(one.name, &one);
    }
    for (const auto& trustpoint : parsed.configuration.trustpoints) {
      const auto found = by_name.find(trustpoint.name);
      const auto* const was = found == by_name.end() ? nullptr : found->second;
      const auto add = [&](config::Storage config::Trustpoint::*which, bool file) {
        const config::Storage& storage = trustpoint.*which;
        if (storage.path.empty()) return;
        const bool asked = !was || (was->*which).path != storage.path;
        places_.push_back({&trustpoint, &storage, file, asked});
      };
      add(&config::Trustpoint::storage_pem, false);
      add(&config::Trustpoint::storage_pkcs12, true);
    }
    if (!places_.empty()) add_published(before);
  }

  Misplaced run() {
    const auto is_asked = [](const auto& one) { return one.asked; };
    const bool servers_asked = std::any_of(published_.begin(), published_.end(), is_asked);
    const bool asked = std::any_of(places_.begin(), places_.end(), is_asked);
    for (const Place& place : places_) {
      if (!place.asked && !servers_asked) continue;
      if ((place.asked && is_own(place)) || is_published(place)) continue;
      if (place.asked) look_at_kind(place);
    }
    if (asked) look_for_shared();
    return std::move(found_);
  }

 private:
  void add_published(const config::Configuration* before) {
    for (const config::Server& server : parsed_.configuration.servers) {
      // A registration authority issues nothing.
      if (server.mode == config::ServerMode::ra ||
          server.mode == config::ServerMode::ra_transparent)
        continue;
      const auto* const was = before ? config::find_server(*before, server.name) : nullptr;
      const auto of_before =
          was ? server::places_of(*was) : std::vector<server::PublicationPlace>();
      for (server::PublicationPlace& place : server::places_of(server)) {
        const auto folder = unix_folder(place.where);
        if (!folder) continue;
        const bool known = std::any_of(of_before.begin(), of_before.end(), [&](const auto& old) {
          return old.where.url == place.where.url &&
                 std::all_of(place.slots.begin(), place.slots.end(),
                             [&](const auto& slot) { return old.has(slot); });
        });
        Published made{&server, std::move(place), !known, DirectoryAt(*folder)};
        for (const fs::path& above : upwards(fs::path(*folder).lexically_normal())) {
          if (is_of_set(above.filename().string()))
            made.set_above.emplace_back(above.parent_path());
        }
        published_.push_back(std::move(made));
      }
    }
  }

  void unusable(const Place& place, std::string what, std::string hint) {
    found_.refused.push_back({place.trustpoint->name, place.storage->path, what});
    found_.unusable.push_back(fault(place, std::move(what), std::move(hint)));
  }

  [[nodiscard]] config::Fault fault(const Place& place, std::string what, std::string hint) const {
    return fault_in(config::SettingLine::In::trustpoint, place.trustpoint->name,
                    place.file ? "storage pkcs12" : "storage pem", place.storage->path,
                    std::move(what), std::move(hint));
  }

  /// In: `argument`: of the line that it is about, where there are several of the key.
  [[nodiscard]] config::Fault fault_in(config::SettingLine::In in, const std::string& block,
                                       std::string_view key, const std::string& argument,
                                       std::string what, std::string hint) const {
    config::Fault made{0, 1, "", std::move(what), std::move(hint)};
    for (const config::SettingLine& one : parsed_.lines) {
      if (one.in != in || one.block != block || !one.key.starts_with(key)) continue;
      const std::string text = " " + one.text;
      const std::size_t whole = (text + " ").find(" " + argument + " ");
      if (made.line != 0 && whole == std::string::npos) continue;
      const std::size_t at = text.find(argument);
      made.line = one.line;
      made.text = text;
      if (at != std::string::npos) made.column = at + 1;
      if (whole != std::string::npos) break;
    }
    return made;
  }

  [[nodiscard]] static std::string outside(const Place& place) {
    return place.file ? "expected: a file elsewhere, such as /etc/umbra/spoke.p12"
                      : "expected: a directory elsewhere, such as /etc/umbra/spoke";
  }

  /// What a certificate server writes, a place for the trustpoint's files.
  bool is_published(const Place& place) {
    if (published_.empty()) return false;
    const fs::path path(place.storage->path);
    const fs::path leads_to = resolved(path.string());
    const DirectoryAt itself(path);
    const std::array files = {
        std::pair(DirectoryAt(path.parent_path()), path.filename().string()),
        std::pair(DirectoryAt(leads_to.parent_path()), leads_to.filename().string())};
    for (const Published& one : published_) {
      if (!place.asked && !one.asked) continue;
      std::string what;
      for (const auto& [around, name] : files) {
        if (around == one.folder && one.writes(name)) what = name;
      }
      if (!place.file && itself == one.folder) {
        for (const std::string name : set_names) {
          if (one.writes(name)) what = name;
        }
      }
      for (const DirectoryAt& above : one.set_above) {
        if (!place.file && itself == above) what = "its files";
      }
      if (what.empty()) continue;
      what = fmt::format("{} is trustpoint {}'s, and certificate server {} publishes {} to {}",
                         place.storage->path, place.trustpoint->name, one.server->name, what,
                         one.place.where.url);
      found_.own.push_back(place.asked
                               ? fault(place, std::move(what), outside(place))
                               : fault_in(config::SettingLine::In::server, one.server->name,
                                          "database url", one.place.where.url, std::move(what),
                                          "expected: a directory that no trustpoint writes to"));
      return true;
    }
    return false;
  }

  /// umbrad's own files, which would be replaced, or taken for a trustpoint's.
  bool is_own(const Place& place) {
    const std::string& path = place.storage->path;
    const fs::path leads_to = resolved(path);
    if (!data_.empty()) {
      auto above_it = upwards(leads_to);
      if (place.file) {
        // A link would be replaced, wherever it leads.
        for (auto& above : upwards(FileAt(path).path)) above_it.push_back(std::move(above));
      }
      for (const fs::path& above : above_it) {
        if (above != data_ && !(data_node_ && seen(above) == data_node_)) continue;
        found_.own.push_back(fault(
            place,
            fmt::format("{} is in umbrad's data directory {}, which no other program may read",
                        path, own_.data_directory),
            outside(place)));
        return true;
      }
    }
    const FileAt file(path);
    for (const OwnFile& own : files_) {
      // What a link to it leads to, too.
      if (!(file == own.at || leads_to == own.leads_to)) continue;
      found_.own.push_back(fault(place, fmt::format("{} is {}", path, own.what), outside(place)));
      return true;
    }
    return false;
  }

  void look_at_kind(const Place& place) {
    const std::string& path = place.storage->path;
    std::error_code error;
    for (const fs::path& above : upwards(fs::path(path).lexically_normal().parent_path())) {
      const auto kind = fs::status(above, error).type();
      if (kind == fs::file_type::not_found || kind == fs::file_type::none) continue;
      if (kind == fs::file_type::directory) break;
      return unusable(place, fmt::format("{}, above {}, is no directory", above.string(), path),
                      "expected: a place below directories");
    }
    const auto kind = fs::status(path, error).type();
    if (kind == fs::file_type::not_found || kind == fs::file_type::none) return;
    if (place.file && kind == fs::file_type::directory) {
      unusable(place, fmt::format("{} is a directory", path),
               fmt::format("expected: a file, such as {}/{}.p12", path, place.trustpoint->name));
    } else if (place.file && kind != fs::file_type::regular) {
      unusable(place, fmt::format("{} is no regular file", path), "expected: a file's name");
    } else if (!place.file && kind != fs::file_type::directory) {
      unusable(place, fmt::format("{} is there, and is no directory", path),
               "expected: a directory, which is made if it is not there");
    }
  }

  /// By links, or mounted twice: how it is spelled, the configuration has looked at.
  void look_for_shared() {
    std::map<Node, const Place*> directories;
    std::map<fs::path, const Place*> spelled;
    for (const Place& place : places_) {
      if (place.file) continue;
      const Place* other = nullptr;
      if (const auto node = node_of(place.storage->path)) {
        const auto [at, fresh] = directories.emplace(*node, &place);
        if (!fresh) other = at->second;
      }
      const auto [at, fresh] = spelled.emplace(resolved(place.storage->path), &place);
      if (!fresh) other = at->second;
      if (other) shared(place, *other);
    }
    std::map<std::pair<Node, std::string>, const Place*> files;
    for (const Place& place : places_) {
      if (!place.file) continue;
      const FileAt file(place.storage->path);
      const Place* other = nullptr;
      if (file.directory) {
        const auto [at, fresh] =
            files.emplace(std::pair{*file.directory, file.path.filename().string()}, &place);
        if (!fresh) other = at->second;
      }
      const auto [at, fresh] = spelled.emplace(file.path, &place);
      if (!fresh) other = at->second;
      if (other) {
        shared(place, *other);
        continue;
      }
      if (!file.directory) continue;
      if (const auto around = directories.find(*file.directory); around != directories.end())
        within(place, *around->second);
    }
  }

  void shared(const Place& place, const Place& other) {
    if (!place.asked && !other.asked) return;
    const bool later = place.asked;
    const Place& mine = later ? place : other;
    const Place& theirs = later ? other : place;
    unusable(mine,
             fmt::format("{} leads to where trustpoint {} writes, {}", mine.storage->path,
                         theirs.trustpoint->name, theirs.storage->path),
             one_each);
  }

  void within(const Place& place, const Place& around) {
    if (!place.asked && !around.asked) return;
    const bool taken = is_of_set(fs::path(place.storage->path).filename().string());
    if (!taken && place.trustpoint == around.trustpoint) return;
    unusable(place.asked ? place : around,
             fmt::format("{} is within the directory of trustpoint {}, {}", place.storage->path,
                         around.trustpoint->name, around.storage->path),
             one_each);
  }

  /// Of many places, most are below the same directories.
  const std::optional<Node>& seen(const fs::path& directory) {
    const auto [at, fresh] = nodes_.try_emplace(directory);
    if (fresh) at->second = node_of(directory);
    return at->second;
  }

  struct OwnFile {
    FileAt at;
    const char* what;
    fs::path leads_to = resolved(at.path.string());
  };

  const config::Parsed& parsed_;
  const OwnPlaces& own_;
  fs::path data_;
  std::optional<Node> data_node_;
  std::vector<OwnFile> files_;
  std::map<fs::path, std::optional<Node>> nodes_;
  std::vector<Place> places_;
  std::vector<Published> published_;
  Misplaced found_;
};

}  // namespace

std::vector<config::Fault> Misplaced::all() const {
  std::vector<config::Fault> both = own;
  both.insert(both.end(), unusable.begin(), unusable.end());
  std::stable_sort(both.begin(), both.end(),
                   [](const auto& a, const auto& b) { return a.line < b.line; });
  return both;
}

Misplaced misplaced(const config::Parsed& parsed, const OwnPlaces& own,
                    const config::Configuration* before) {
  return Examination(parsed, own, before).run();
}

std::optional<Misplaced> misplaced_within(std::chrono::milliseconds limit,
                                          std::shared_ptr<const config::Parsed> parsed,
                                          const OwnPlaces& own,
                                          std::shared_ptr<const config::Parsed> before) {
  return answered_within<Misplaced>(
      limit, [parsed = std::move(parsed), own, before = std::move(before)] {
        return misplaced(*parsed, own, before ? &before->configuration : nullptr);
      });
}

}  // namespace umbra::io
