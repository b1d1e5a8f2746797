#include <fmt/format.h>

#include <algorithm>

#include "plan/check.h"

namespace umbra::plan {
namespace {

struct Found {
  const Source* source = nullptr;
  const config::Trustpoint* trustpoint = nullptr;
};

Result<Found> find(const std::vector<Source>& sources, const std::string& wanted) {
  const auto at = wanted.find('@');
  const std::string name = wanted.substr(0, at);
  const std::string host = at == std::string::npos ? "" : wanted.substr(at + 1);
  Found found;
  for (const Source& source : sources) {
    if (!host.empty() && source.configuration().hostname != host) continue;
    for (const config::Trustpoint& trustpoint : source.configuration().trustpoints) {
      if (trustpoint.name != name || trustpoint.enrollment_url.empty()) continue;
      // Of thousands with one name the first does: they differ in nothing but their files.
      if (!found.trustpoint) found = {&source, &trustpoint};
    }
  }
  if (!found.trustpoint)
    return fail(Errc::not_found,
                fmt::format("no trustpoint {} with an enrollment url in these files", wanted));
  return found;
}

std::string certificate_words(const Chapter& chapter, const Calendar& calendar) {
  if (!chapter.certificate) return "";
  const auto offset = [](Time time) { return time.time_since_epoch().count(); };
  switch (chapter.what) {
    case Happening::granted:
    case Happening::shadow_granted:
    case Happening::rollover_made:
    case Happening::switches:
      return fmt::format(", valid from {} to {}",
                         calendar.day(offset(chapter.certificate->not_before)),
                         calendar.day(offset(chapter.certificate->not_after)));
    default:
      return "";
  }
}

bool repeats(Happening what) {
  return what == Happening::refused_next_ca || what == Happening::still_pending ||
         what == Happening::unreachable;
}

}  // namespace

Result<std::string> timeline(const std::vector<Source>& sources, const Options& options,
                             const std::string& trustpoint, Offset enrols) {
  UMBRA_TRY(const Found found, find(sources, trustpoint));
  const Pairing pairing(sources, options.server_urls);
  const auto pair =
      pairing.of(*found.source, found.trustpoint->name, found.trustpoint->enrollment_url);
  if (pair.how == Pairing::How::nowhere)
    return fail(Errc::not_found,
                fmt::format("no certificate server among these files answers at {}",
                            found.trustpoint->enrollment_url));
  const ServerAt& server = pairing.servers()[pair.server];
  const Question q = question_of(server, *found.trustpoint, pairing, options, pair.through);
  if (enrols < 0 || enrols >= q.ca_end())
    return fail(Errc::malformed,
                fmt::format("the CA lives from day 0 to {}", options.calendar.day(q.ca_end())));
  Play how;
  how.enrols = enrols;
  how.until = 2 * q.ca_end();
  const Story story = play(q, how);
  std::string out =
      fmt::format("trustpoint {} of {} under certificate server {}, first enrolled on {}\n",
                  found.trustpoint->name, found.source->configuration().hostname,
                  server.server->name, options.calendar.day(enrols));
  const auto& all = story.chapters;
  for (std::size_t i = 0; i < all.size(); ++i) {
    std::string line = to_string(all[i].what) + certificate_words(all[i], options.calendar);
    std::size_t last = i;
    while (repeats(all[i].what) && last + 1 < all.size() && all[last + 1].what == all[i].what)
      ++last;
    if (last > i)
      line +=
          fmt::format(" ({} times, until {})", last - i + 1, options.calendar.day(all[last].at));
    if (options.calendar.start) {
      out += fmt::format("  {}  day {:>8}  {}\n", options.calendar.date(all[i].at),
                         number_of_day(all[i].at), line);
    } else {
      out += fmt::format("  day {:>8}  {}\n", number_of_day(all[i].at), line);
    }
    i = last;
  }
  if (story.dark.empty()) {
    out += fmt::format("never without a valid certificate, to the end of the second CA on {}\n",
                       options.calendar.day(how.until));
  } else {
    out += fmt::format("without a valid certificate on {}\n", days(story.dark));
  }
  return out;
}

}  // namespace umbra::plan
