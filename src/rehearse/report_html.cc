#include <fmt/format.h>

#include <algorithm>
#include <cmath>

#include "rehearse/report.h"

namespace umbra::rehearse {
namespace {

using plan::count;

constexpr std::size_t devices_in_page = 50;
// Charts are drawn this wide and stretched to the page; their heights are pixels.
constexpr double chart_width = 1000;
constexpr int chart_height = 200;
constexpr int small_height = 90;
constexpr std::size_t points_max = 1000;
constexpr int decades_max = 10;

// Okabe and Ito's colours, which everybody can tell apart; stripes and words say the same.
constexpr const char* head = R"HTML(<!DOCTYPE html>
<html lang="en"><head><meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>Rehearsal</title>
<style>
:root{color-scheme:light dark;--paper:#fff;--ink:#1a1a1a;--soft:#595959;--line:#d0d0d0;
 --valid:#0072b2;--ready:#56b4e9;--dark:#d55e00;--off:#8a8a8a;--none:#e4e4e4;--good:#00664b}
@media(prefers-color-scheme:dark){:root{--paper:#141414;--ink:#ececec;--soft:#b0b0b0;--line:#454545;
 --valid:#3a95d0;--ready:#8fd0f5;--dark:#ff8a3d;--off:#8a8a8a;--none:#2c2c2c;--good:#4fd0a5}}
body{margin:0 auto;max-width:70rem;padding:1rem;background:var(--paper);color:var(--ink);
 font:16px/1.5 system-ui,sans-serif}
h1{font-size:1.6rem;line-height:1.25;margin:.5rem 0}h2{font-size:1.25rem;margin:2rem 0 .5rem}
h3{font-size:1rem;margin:1.6rem 0 .4rem}p{margin:.4rem 0}.soft{color:var(--soft)}
.verdict{font-size:1.15rem;font-weight:600;border-left:.4rem solid var(--good);padding:.3rem .8rem}
.verdict.bad{border-color:var(--dark)}
svg{display:block;width:100%;overflow:hidden}
.axis{display:flex;justify-content:space-between;color:var(--soft);font-size:.8rem}
.axis b{font-weight:400}
.scale{color:var(--soft);font-size:.8rem}
.legend{display:flex;flex-wrap:wrap;gap:.2rem 1.2rem;font-size:.9rem;margin:.4rem 0}
.legend span{display:inline-flex;align-items:center;gap:.4rem}.legend svg{width:1.6rem;flex:none}
.bar{margin:.5rem 0 .8rem;font-size:.9rem}
.wide{overflow-x:auto}
table{border-collapse:collapse;font-size:.9rem;width:100%}
th,td{text-align:left;padding:.25rem .8rem .25rem 0;border-bottom:1px solid var(--line);
 vertical-align:top}
td.n,th.n{text-align:right;white-space:nowrap}td.d{white-space:nowrap}td:last-child{min-width:12rem}
.grid{stroke:var(--line);vector-effect:non-scaling-stroke;fill:none}
</style></head><body>
<svg aria-hidden="true" style="position:absolute;width:0;height:0"><defs>
<pattern id="ready" width="8" height="6" patternUnits="userSpaceOnUse"><rect width="8" height="6"
 style="fill:var(--ready)"/><rect width="8" height="2" style="fill:var(--paper)"/></pattern>
<pattern id="off" width="8" height="3" patternUnits="userSpaceOnUse"><rect width="8" height="3"
 style="fill:var(--off)"/><rect width="8" height="1.5" style="fill:var(--paper)"/></pattern>
</defs></svg>
)HTML";

std::string escaped(const std::string& text) {
  std::string out;
  for (const char c : text) {
    switch (c) {
      case '<':
        out += "&lt;";
        break;
      case '>':
        out += "&gt;";
        break;
      case '&':
        out += "&amp;";
        break;
      case '"':
        out += "&quot;";
        break;
      default:
        out += c;
    }
  }
  return out;
}

const char* paint(State state) {
  switch (state) {
    case State::not_enrolled:
      return "var(--none)";
    case State::valid:
      return "var(--valid)";
    case State::ready:
      return "url(#ready)";
    case State::dark:
      return "var(--dark)";
    case State::off:
      return "url(#off)";
  }
  return "";
}

// From the bottom up: what must not be there stands on the ground, where it is seen.
constexpr std::array<State, states> stack = {State::dark, State::off, State::valid, State::ready,
                                             State::not_enrolled};

class Page {
 public:
  Page(const Scenario& scenario, const Outcome& outcome, const Circumstances& circumstances)
      : scenario_(scenario), outcome_(outcome), told_(circumstances) {}

  std::string print() {
    out_ = head;
    title();
    for (const AuthorityOutcome& of : outcome_.authorities) {
      add("<h2>Certificate server {}</h2>\n", escaped(of.name));
      generations(of);
      fleet(of);
      load(of);
      causes_of(of);
      devices(of);
    }
    defects();
    out_ += "</body></html>\n";
    return std::move(out_);
  }

 private:
  template <class... Args>
  void add(fmt::format_string<Args...> text, Args&&... args) {
    out_ += fmt::format(text, std::forward<Args>(args)...);
  }

  [[nodiscard]] std::string date(Offset at) const {
    return told_.calendar.date(std::min(at, offset(lifecycle::end_of_time - Days{36525})))
        .substr(0, 10);
  }
  [[nodiscard]] double x(Offset at) const {
    const double part = static_cast<double>(at) / static_cast<double>(scenario_.until);
    return std::clamp(part, 0.0, 1.0) * chart_width;
  }

  void title() {
    add("<h1>{} over {}, rehearsed</h1>\n", counted(scenario_.devices, "device"),
        years(scenario_.until));
    std::size_t still = 0;
    for (const AuthorityOutcome& of : outcome_.authorities) still += of.still;
    const std::size_t dark = outcome_.dark();
    if (dark == 0) {
      add("<p class=\"verdict\">No device was ever dark.</p>\n");
    } else {
      add("<p class=\"verdict bad\">{} went dark; {} to the end.</p>\n", counted(dark, "device"),
          count(still));
    }
    add("<p class=\"soft\">From {} to {}, seed {}. Dark: without a certificate that is valid under "
        "the CA in force, after the first one.</p>\n",
        date(0), date(scenario_.until), scenario_.seed);
    std::vector<std::string> lines;
    for (const std::string& fault : told_.faults) lines.push_back("With " + fault + ".");
    for (const std::string& note : scenario_.notes) lines.push_back("Note: " + note + ".");
    for (const std::string& line : lines) add("<p>{}</p>\n", escaped(line));
  }

  void axis() {
    constexpr int ticks = 4;
    add("<div class=\"axis\">");
    for (int i = 0; i <= ticks; ++i)
      add("<b>{}</b>", date(scenario_.until / ticks * i).substr(0, 7));
    add("</div>\n");
  }

  void open_chart(int height, const std::string& label) {
    add("<svg role=\"img\" aria-label=\"{}\" height=\"{}\" viewBox=\"0 0 {} {}\" "
        "preserveAspectRatio=\"none\">",
        escaped(label), height, chart_width, height);
  }

  void legend(std::initializer_list<std::pair<const char*, const char*>> entries) {
    add("<div class=\"legend\">");
    for (const auto& [fill, text] : entries) {
      add("<span><svg height=\"16\" viewBox=\"0 0 26 16\"><rect width=\"26\" height=\"16\" "
          "fill=\"none\" style=\"fill:{}\"/></svg>{}</span>",
          fill, text);
    }
    add("</div>\n");
  }

  void generations(const AuthorityOutcome& of) {
    add("<h3>The CA's generations</h3>\n");
    legend({{"var(--valid)", "active"}, {"url(#ready)", "made, and handed out in advance"}});
    for (std::size_t i = 0; i < of.generations.size(); ++i) {
      const Generation& one = of.generations[i];
      const Offset begins = offset(one.validity.not_before);
      const Offset ends = offset(one.validity.not_after);
      std::string text = fmt::format("CA {}: {} to {}", i + 1, date(begins), date(ends));
      if (i > 0) text += fmt::format(", made on {}", date(one.made));
      if (one.cancelled != never) text += fmt::format(", cancelled on {}", date(one.cancelled));
      add("<div class=\"bar\">{}", text);
      open_chart(18, text);
      add("<rect class=\"grid\" width=\"{}\" height=\"18\"/>", chart_width);
      if (begins > one.made) {
        const Offset last = std::min(begins, one.cancelled);
        add("<rect x=\"{:.2f}\" width=\"{:.2f}\" height=\"18\" style=\"fill:url(#ready)\"/>",
            x(one.made), x(last) - x(one.made));
      }
      if (one.cancelled == never) {
        add("<rect x=\"{:.2f}\" width=\"{:.2f}\" height=\"18\" style=\"fill:var(--valid)\"/>",
            x(begins), x(ends) - x(begins));
      }
      add("</svg></div>\n");
    }
    axis();
  }

  /// Days in at most points_max groups, each shown by its value at the group's worst day.
  template <class Value>
  [[nodiscard]] static std::vector<std::size_t> shown_days(std::size_t days, const Value& weight) {
    const std::size_t step = (days + points_max - 1) / points_max;
    std::vector<std::size_t> shown;
    for (std::size_t from = 0; from < days; from += step) {
      std::size_t worst = from;
      for (std::size_t d = from; d < std::min(from + step, days); ++d) {
        if (weight(d) > weight(worst)) worst = d;
      }
      shown.push_back(worst);
    }
    return shown;
  }

  void area(const std::vector<std::size_t>& shown, std::size_t days, int height, const char* fill,
            const std::vector<double>& low, const std::vector<double>& high) {
    const auto at = [&](std::size_t i) {
      return static_cast<double>(shown[i]) /
             static_cast<double>(std::max<std::size_t>(1, days - 1)) * chart_width;
    };
    std::string path;
    const auto point = [&](double px, double part) {
      path += fmt::format("{}{:.1f} {:.1f}", path.empty() ? "M" : "L", px, height * (1 - part));
    };
    for (std::size_t i = 0; i < shown.size(); ++i) {
      point(i == 0 ? 0 : at(i), high[i]);
      if (i + 1 == shown.size()) point(chart_width, high[i]);
    }
    for (std::size_t i = shown.size(); i-- > 0;) {
      if (i + 1 == shown.size()) point(chart_width, low[i]);
      point(i == 0 ? 0 : at(i), low[i]);
    }
    add("<path style=\"fill:{}\" d=\"{}Z\"/>", fill, path);
  }

  void fleet(const AuthorityOutcome& of) {
    constexpr auto dark = static_cast<std::size_t>(State::dark);
    add("<h3>What the devices are in, day by day</h3>\n");
    legend({{"var(--dark)", "dark"},
            {"url(#off)", "switched off"},
            {"var(--valid)", "valid"},
            {"url(#ready)", "valid, and ready for the next CA"},
            {"var(--none)", "not enrolled yet"}});
    add("<div class=\"scale\">{}</div>", counted(of.devices, "device"));
    const auto shown = shown_days(of.days.size(), [&](std::size_t d) { return of.days[d][dark]; });
    open_chart(chart_height, "devices by state over time");
    std::vector<double> low(shown.size(), 0.0);
    for (const State state : stack) {
      std::vector<double> high = low;
      for (std::size_t i = 0; i < shown.size(); ++i) {
        high[i] += static_cast<double>(of.days[shown[i]][static_cast<std::size_t>(state)]) /
                   static_cast<double>(of.devices);
      }
      area(shown, of.days.size(), chart_height, paint(state), low, high);
      low = high;
    }
    add("</svg>\n");
    axis();
    if (of.dark == 0) return;
    std::int64_t most = 0;
    for (const auto& day : of.days) most = std::max(most, day[dark]);
    add("<h3>Dark devices alone</h3>\n<div class=\"scale\">{} at most</div>",
        counted(static_cast<std::size_t>(most), "device"));
    std::vector<double> high(shown.size());
    for (std::size_t i = 0; i < shown.size(); ++i)
      high[i] = static_cast<double>(of.days[shown[i]][dark]) / static_cast<double>(most);
    open_chart(small_height, "dark devices over time");
    area(shown, of.days.size(), small_height, "var(--dark)", std::vector<double>(shown.size(), 0.0),
         high);
    add("</svg>\n");
    axis();
  }

  void load(const AuthorityOutcome& of) {
    const std::vector<std::uint64_t> by_day = requests_by_day(of);
    const std::uint64_t most = *std::max_element(by_day.begin(), by_day.end());
    add("<h3>Requests a day</h3>\n<p>Busiest second: {} ({} UTC). Busiest hour: {} (from {} "
        "UTC).</p>\n",
        counted(of.second.count, "request"), told_.calendar.date(of.second.at),
        counted(of.hour.count, "request"), told_.calendar.date(of.hour.at));
    if (of.waiting.count > 0) {
      add("<p>Most requests waiting for a person: {} ({} UTC).{}</p>\n", count(of.waiting.count),
          told_.calendar.date(of.waiting.at),
          of.waiting.count > queue_max ? " More than the queue holds: these are refused, which is "
                                         "not played here."
                                       : "");
    }
    int decades = 1;
    for (std::uint64_t top = 10; top < most && decades < decades_max; top *= 10) ++decades;
    std::uint64_t top = 1;
    for (int i = 0; i < decades; ++i) top *= 10;
    add("<div class=\"scale\">up to {} a day; each line is ten times the one below it, the ground "
        "is 1</div>",
        count(top));
    const auto shown = shown_days(by_day.size(), [&](std::size_t d) { return by_day[d]; });
    std::vector<double> high(shown.size());
    for (std::size_t i = 0; i < shown.size(); ++i) {
      const double value = static_cast<double>(by_day[shown[i]]);
      high[i] = value < 1 ? 0 : std::log10(value * 1.1) / decades;
      high[i] = std::clamp(high[i], 0.0, 1.0);
    }
    open_chart(chart_height, "requests a day over time, on a logarithmic scale");
    area(shown, by_day.size(), chart_height, "var(--valid)", std::vector<double>(shown.size(), 0.0),
         high);
    for (int i = 0; i <= decades; ++i) {
      const double y = chart_height * (1 - static_cast<double>(i) / decades);
      add("<path class=\"grid\" d=\"M0 {:.1f}H{}\"/>", y, chart_width);
    }
    add("</svg>\n");
    axis();
  }

  void causes_of(const AuthorityOutcome& of) {
    if (of.causes.empty()) return;
    add("<h3>Why devices went dark</h3>\n<div class=\"wide\"><table><tr><th "
        "class=\"n\">Devices</th>"
        "<th>First on</th><th class=\"n\">Longest</th><th>Why</th></tr>\n");
    for (const CauseRow& row : of.causes) {
      add("<tr><td class=\"n\">{}</td><td class=\"d\">{}</td><td "
          "class=\"n\">{}</td><td>{}</td></tr>\n",
          count(row.devices), date(row.first), plan::span(row.longest), in_words(row.cause));
    }
    add("</table></div>\n");
  }

  void devices(const AuthorityOutcome& of) {
    if (of.worst.empty()) return;
    add("<h3>Dark devices, the longest first</h3>\n<div class=\"wide\"><table><tr><th "
        "class=\"n\">Device</th><th>Like</th><th>From</th><th class=\"n\">For</th><th "
        "class=\"n\">Times</th><th>Why</th></tr>\n");
    for (std::size_t i = 0; i < of.worst.size() && i < devices_in_page; ++i) {
      const DarkDevice& one = of.worst[i];
      add("<tr><td class=\"n\">{}</td><td>{}</td><td class=\"d\">{}</td><td "
          "class=\"n\">{}{}</td><td "
          "class=\"n\">{}</td><td>{}</td></tr>\n",
          one.number, escaped(scenario_.kinds[one.kind].name), date(one.from),
          plan::span(one.dark_for), one.still ? ", to the end" : "", one.episodes,
          in_words(one.cause));
    }
    add("</table></div>\n");
    if (of.dark > devices_in_page)
      add("<p>... and {} more.</p>\n", count(of.dark - devices_in_page));
    add("<p class=\"soft\"><code>--client {}</code> tells the story of the first of them.</p>\n",
        of.worst.front().number);
  }

  void defects() {
    for (const std::string& one : outcome_.broken_servers)
      add("<p class=\"verdict bad\">Defect: {}</p>\n", escaped(one));
    for (const Broken& one : outcome_.broken) {
      add("<p class=\"verdict bad\">Defect: device {}, {}: {}</p>\n", one.device,
          told_.calendar.day(one.at), escaped(one.what));
    }
  }

  const Scenario& scenario_;
  const Outcome& outcome_;
  const Circumstances& told_;
  std::string out_;
};

}  // namespace

std::string to_html(const Scenario& scenario, const Outcome& outcome,
                    const Circumstances& circumstances) {
  return Page(scenario, outcome, circumstances).print();
}

}  // namespace umbra::rehearse
