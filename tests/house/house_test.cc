// The house keeps its own rules: a folder includes only folders its target links, nothing points
// back, and a library's headers stay in the rooms they were let into.

#include <filesystem>
#include <fstream>
#include <map>
#include <regex>
#include <set>
#include <sstream>
#include <string>
#include <vector>

#include <gtest/gtest.h>

namespace {

namespace fs = std::filesystem;

const fs::path source = fs::path(UMBRA_SOURCE_DIR) / "src";

// From the ground up, as the top CMakeLists.txt adds them.
const std::vector<std::string> floors = {
    "base",   "lifecycle", "x509",     "scep",   "policy", "store",   "ca", "verify", "audit",
    "config", "plan",      "rehearse", "server", "client", "console", "io", "sim"};

std::string read(const fs::path& path) {
  std::ifstream in(path);
  std::stringstream out;
  out << in.rdbuf();
  return out.str();
}

std::set<std::string> uses_of(const std::string& folder) {
  const std::string text = read(source / folder / "CMakeLists.txt");
  std::set<std::string> uses;
  // The first USES list is the library's; umbra_tests may see more.
  const std::regex list(R"(umbra_library\([^)]*?USES\s+([a-z0-9_ \n]+))");
  std::smatch match;
  if (!std::regex_search(text, match, list)) return uses;
  std::istringstream words(match[1].str());
  for (std::string word; words >> word;) uses.insert(word);
  return uses;
}

struct Include {
  fs::path file;
  std::string header;
  bool ours;
};

std::vector<Include> includes_of(const std::string& folder) {
  std::vector<Include> found;
  const std::regex line(R"(^\s*#include\s+([<"])([^>"]+)[>"])");
  for (const auto& entry : fs::recursive_directory_iterator(source / folder)) {
    const fs::path& path = entry.path();
    if (path.extension() != ".h" && path.extension() != ".cc") continue;
    if (path.stem().string().ends_with("_test")) continue;
    std::istringstream text(read(path));
    for (std::string row; std::getline(text, row);) {
      std::smatch match;
      if (std::regex_search(row, match, line))
        found.push_back({path, match[2].str(), match[1].str() == "\""});
    }
  }
  return found;
}

TEST(House, AFolderIncludesOnlyWhatItsTargetLinks) {
  std::size_t looked_at = 0;
  for (const std::string& folder : floors) {
    const auto uses = uses_of(folder);
    for (const Include& include : includes_of(folder)) {
      if (!include.ours) continue;
      ++looked_at;
      const std::string from = include.header.substr(0, include.header.find('/'));
      EXPECT_TRUE(from == folder || uses.contains(from))
          << include.file << " includes " << include.header << ", but umbra_" << folder
          << " does not link umbra_" << from;
    }
  }
  EXPECT_GT(looked_at, 50U) << "the test must have found the sources";
}

TEST(House, AFolderLinksOnlyWhatStandsAboveIt) {
  std::set<std::string> above;
  for (const std::string& folder : floors) {
    for (const std::string& used : uses_of(folder)) {
      EXPECT_TRUE(above.contains(used))
          << folder << " uses " << used << ", which does not stand above it";
    }
    if (folder != "io")
      above.insert(folder);  // io and sim are two drivers of one core; neither sees the other
  }
}

TEST(House, LibrariesStayInTheirRooms) {
  const std::vector<std::pair<std::regex, std::regex>> rooms = {
      {std::regex("^openssl/.*"),
       std::regex("^(x509/.*|scep/cms[a-z0-9_]*\\.(h|cc)|io/random\\.cc)$")},
      {std::regex("^(boost|curl)/.*"), std::regex("^io/.*")},
      {std::regex("^soci/.*"), std::regex("^store/.*\\.cc$")},
      {std::regex("^spdlog/.*"), std::regex("^io/.*\\.cc$")},
      {std::regex("^nlohmann/.*"),
       std::regex("^(io|store|verify|audit|console|plan|rehearse)/.*\\.cc$")},
  };
  for (const std::string& folder : floors) {
    for (const Include& include : includes_of(folder)) {
      if (include.ours) continue;
      const std::string place = fs::relative(include.file, source).string();
      for (const auto& [header, room] : rooms) {
        if (std::regex_match(include.header, header)) {
          EXPECT_TRUE(std::regex_match(place, room))
              << place << " includes <" << include.header << ">";
        }
      }
    }
  }
}

TEST(House, OnlyTheClockAsksTheSystemForTheTime) {
  const std::regex asks(
      R"(system_clock::now|\btime\s*\(\s*(nullptr|NULL|0)\s*\)|gettimeofday|clock_gettime|X509_gmtime_adj|X509_cmp_current_time)");
  for (const std::string& folder : floors) {
    for (const auto& entry : fs::recursive_directory_iterator(source / folder)) {
      const fs::path& path = entry.path();
      if (path.extension() != ".h" && path.extension() != ".cc") continue;
      const std::string place = fs::relative(path, source).string();
      if (place == "io/clock.cc" || place == "io/clock_test.cc") continue;
      EXPECT_FALSE(std::regex_search(read(path), asks)) << place << " asks the system for the time";
    }
  }
}

}  // namespace
