#include "config/difference.h"

#include <algorithm>
#include <set>

namespace umbra::config {
namespace {

template <class T>
const T* find(const std::vector<T>& all, std::string_view name) {
  const auto found =
      std::find_if(all.begin(), all.end(), [&](const T& one) { return one.name == name; });
  return found == all.end() ? nullptr : &*found;
}

/// All but `shutdown`, which changes what a server does, and not what it is.
bool same_but_for_shutdown(Server before, const Server& after) {
  before.shutdown = after.shutdown;
  return before == after;
}

/// A line of the text with all that is indented below it.
struct Section {
  std::string opener;
  std::vector<std::string> lines;
};

std::vector<Section> sections_of(std::string_view text) {
  std::vector<Section> all;
  while (!text.empty()) {
    const std::size_t end = std::min(text.find('\n'), text.size());
    const std::string_view line = text.substr(0, end);
    text.remove_prefix(std::min(end + 1, text.size()));
    if (line.empty() || line.starts_with('!')) continue;
    if (line.starts_with(' ') && !all.empty()) {
      all.back().lines.emplace_back(line);
    } else {
      all.push_back({std::string(line), {}});
    }
  }
  return all;
}

const Section* find(const std::vector<Section>& all, const std::string& opener) {
  const auto found =
      std::find_if(all.begin(), all.end(), [&](const Section& s) { return s.opener == opener; });
  return found == all.end() ? nullptr : &*found;
}

std::string signed_line(char sign, std::string_view line) {
  const std::size_t text = std::min(line.find_first_not_of(" \t"), line.size());
  return std::string(line.substr(0, text)) + sign + std::string(line.substr(text)) + "\n";
}

void add_whole(std::string& out, char sign, const Section& section) {
  out += signed_line(sign, section.opener);
  for (const std::string& line : section.lines) out += signed_line(sign, line);
}

}  // namespace

bool Difference::empty() const {
  return servers_added.empty() && servers_removed.empty() && servers_changed.empty() &&
         servers_shut.empty() && servers_started.empty() && trustpoints_added.empty() &&
         trustpoints_removed.empty() && trustpoints_changed.empty() && !fqdn && !listener;
}

const Server* find_server(const Configuration& in, std::string_view name) {
  return find(in.servers, name);
}
const Trustpoint* find_trustpoint(const Configuration& in, std::string_view name) {
  return find(in.trustpoints, name);
}

Difference difference(const Configuration& before, const Configuration& after) {
  Difference d;
  for (const Server& server : before.servers) {
    if (!find_server(after, server.name)) d.servers_removed.push_back(server.name);
  }
  for (const Server& server : after.servers) {
    const Server* const old = find_server(before, server.name);
    if (!old) {
      d.servers_added.push_back(server.name);
      continue;
    }
    if (!same_but_for_shutdown(*old, server)) d.servers_changed.push_back(server.name);
    if (old->shutdown == server.shutdown) continue;
    (server.shutdown ? d.servers_shut : d.servers_started).push_back(server.name);
  }
  // Ten thousand of them are compared by name: in order, and not each with each.
  const auto by_name = [](const Configuration& of) {
    std::vector<const Trustpoint*> all;
    for (const Trustpoint& one : of.trustpoints) all.push_back(&one);
    std::sort(all.begin(), all.end(),
              [](const auto* a, const auto* b) { return a->name < b->name; });
    return all;
  };
  const auto old = by_name(before);
  const auto next = by_name(after);
  auto left = old.begin();
  auto right = next.begin();
  while (left != old.end() || right != next.end()) {
    if (right == next.end() || (left != old.end() && (*left)->name < (*right)->name)) {
      d.trustpoints_removed.push_back((*left++)->name);
    } else if (left == old.end() || (*right)->name < (*left)->name) {
      d.trustpoints_added.push_back((*right++)->name);
    } else {
      if (!(**left == **right)) d.trustpoints_changed.push_back((*right)->name);
      ++left;
      ++right;
    }
  }
  d.fqdn = before.fqdn() != after.fqdn();
  d.listener = before.http_server != after.http_server || before.http_port != after.http_port ||
               before.http_address != after.http_address ||
               before.http_requests_per_second != after.http_requests_per_second ||
               before.http_requests_burst != after.http_requests_burst ||
               before.http_max_wait != after.http_max_wait;
  return d;
}

std::vector<std::string> locked(const Configuration& before, const Configuration& after) {
  std::vector<std::string> names;
  for (const Server& server : before.servers) {
    const Server* const next = find_server(after, server.name);
    if (next && !server.shutdown && !same_but_for_shutdown(server, *next))
      names.push_back(server.name);
  }
  return names;
}

std::string contextual_differences(std::string_view before, std::string_view after) {
  const std::vector<Section> old = sections_of(before);
  const std::vector<Section> next = sections_of(after);
  std::string out;
  for (const Section& section : next) {
    const Section* const was = find(old, section.opener);
    if (!was) {
      add_whole(out, '+', section);
      continue;
    }
    const std::multiset<std::string> had(was->lines.begin(), was->lines.end());
    const std::multiset<std::string> has(section.lines.begin(), section.lines.end());
    if (had == has) continue;
    out += section.opener + "\n";
    for (const std::string& line : section.lines) {
      if (!had.contains(line)) out += signed_line('+', line);
    }
    for (const std::string& line : was->lines) {
      if (!has.contains(line)) out += signed_line('-', line);
    }
  }
  for (const Section& section : old) {
    if (!find(next, section.opener)) add_whole(out, '-', section);
  }
  return out;
}

}  // namespace umbra::config
