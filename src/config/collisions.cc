#include <algorithm>
#include <array>
#include <filesystem>
#include <map>
#include <string>
#include <utility>
#include <vector>

#include <fmt/format.h>

#include "config/document.h"

namespace umbra::config {
namespace {

/// Two blocks that cannot both be as they say.
class Collisions {
 public:
  Collisions(const Document& document, Parsed& parsed) : document_(document), parsed_(parsed) {}

  void find_all() {
    near_namesakes(document_.servers);
    near_namesakes(document_.trustpoints);
    shared_directories();
    shared_databases();
  }

 private:
  template <class... Where>
  void fault(const Where&... where) {
    parsed_.faults.push_back(fault_at(where...));
  }

  /// Names that differ in nothing but the case of letters are one name on most file systems.
  void near_namesakes(const std::vector<Block>& blocks) {
    std::map<std::string, const Block*> seen;
    for (const Block& block : blocks) {
      const auto [at, fresh] = seen.emplace(lower(block.name), &block);
      if (!fresh) {
        fault(block,
              fmt::format("{} differs from {} in line {} only in the case of letters", block.name,
                          at->second->name, at->second->line),
              "expected: the same name, or another one");
      }
    }
  }

  /// Where a trustpoint writes: a directory, or one file.
  struct Place {
    const Block* block;
    const Entry* entry;
    const char* argument;
    bool file;
  };

  /// One place is one however it is spelled. Links are not followed: what they lead to is known on
  /// the host alone, and may change.
  static std::string one_spelling(const std::string& path) {
    std::string normal = std::filesystem::path(path).lexically_normal().string();
    while (normal.size() > 1 && normal.ends_with('/')) normal.pop_back();
    return normal;
  }

  void shared_directories() {
    std::map<std::string, Place> seen;
    for (const Block& block : document_.trustpoints) {
      for (const auto& [command, argument] :
           {std::pair{"storage pem", "DIRECTORY"}, {"storage pkcs12", "FILE"}}) {
        const Entry* const entry = find(block, command);
        if (!entry) continue;
        const bool file = std::string_view(argument) == "FILE";
        const auto [at, fresh] = seen.emplace(one_spelling(entry->match.text(argument)),
                                              Place{&block, entry, argument, file});
        if (!fresh) {
          fault(*entry, argument,
                fmt::format("trustpoint {} already writes its files there", at->second.block->name),
                "expected: a place of its own for each trustpoint");
        }
      }
    }
    for (const auto& [path, place] : seen) {
      for (std::size_t end = path.rfind('/'); end != 0 && end != std::string::npos;
           end = path.rfind('/', end - 1)) {
        if (const auto outer = seen.find(path.substr(0, end)); outer != seen.end())
          nested(place, outer->second, path.substr(end + 1));
      }
    }
  }

  /// In: what is left of the path of `inner` below `outer`.
  void nested(const Place& inner, const Place& outer, const std::string& rest) {
    constexpr std::array kept = {"ca.pem",     "cert.pem", "chain.pem", "key.pem",
                                 "bundle.pem", "rollover", "previous"};
    const std::string first = rest.substr(0, rest.find('/'));
    const bool taken =
        first.starts_with("..") || std::find(kept.begin(), kept.end(), first) != kept.end();
    const bool others = inner.block != outer.block;
    if (outer.file) {
      fault(*inner.entry, inner.argument,
            fmt::format("what is above it is the file of trustpoint {}", outer.block->name),
            "expected: a place of its own for each trustpoint");
    } else if (taken) {
      fault(
          *inner.entry, inner.argument,
          fmt::format("\"storage pem\" of trustpoint {} keeps {} there", outer.block->name, first),
          "expected: another name, or another directory");
    } else if (inner.file && others) {
      fault(*inner.entry, inner.argument,
            fmt::format("it is within the directory of trustpoint {}", outer.block->name),
            "expected: a place of its own for each trustpoint");
    }
  }

  /// Serial numbers are file names, and every server begins with 1.
  void shared_databases() {
    std::map<std::string, std::string> seen;
    for (const Block& block : document_.servers) {
      const auto made =
          std::find_if(parsed_.configuration.servers.begin(), parsed_.configuration.servers.end(),
                       [&](const Server& s) { return s.name == block.name; });
      if (made->database_level == DatabaseLevel::minimum) continue;
      std::vector<std::string> urls;
      for (const FileType type : {FileType::cnm, FileType::crt}) {
        if (type == FileType::crt && made->database_level != DatabaseLevel::complete) continue;
        const auto own = made->database_of.find(type);
        urls.push_back(own == made->database_of.end() ? made->database.url : own->second.url);
        const auto copy = made->database_copies.find(type);
        if (copy != made->database_copies.end()) urls.push_back(copy->second.url);
      }
      for (std::string& url : urls) {
        while (url.ends_with('/')) url.pop_back();
        const auto [at, fresh] = seen.emplace(url, block.name);
        if (fresh || at->second == block.name) continue;
        fault(*find(block, "database level"), "",
              fmt::format("server {} already keeps files named by serial numbers on {}", at->second,
                          url),
              "expected: a \"database url\" for each server, or \"database level minimum\"");
        break;
      }
    }
  }

  const Document& document_;
  Parsed& parsed_;
};

}  // namespace

void find_collisions(const Document& document, Parsed& parsed) {
  Collisions(document, parsed).find_all();
}

}  // namespace umbra::config
