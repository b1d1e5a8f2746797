#pragma once

#include <string>

#include <vector>

#include "base/time.h"
#include "client/status.h"
#include "server/status.h"

namespace umbra::console {

/// As monitoring plugins have it, exit statuses included.
enum class Health { ok = 0, warning = 1, critical = 2, unknown = 3 };
[[nodiscard]] std::string_view to_string(Health health);  ///< "OK", "WARNING" ...

struct Judgement {
  Health health = Health::ok;
  std::string text;     ///< why, in a line
  Seconds time_left{};  ///< of the certificate that counts; 0 if there is none
};
/// Critical: what devices or peers see is wrong now, or will be within a week and nothing armed
/// prevents it. Warning: something that was to happen did not.
[[nodiscard]] Judgement judge(const client::Status& trustpoint, Time now, bool clock_authoritative);
[[nodiscard]] Judgement judge(const server::Status& server, Time now);

/// One line: `OK - trustpoint Root-CA: ... | days_left=364`.
[[nodiscard]] std::string judgement_line(std::string_view kind, std::string_view name,
                                         const Judgement& judged);

/// `show crypto pki status`: a line for each.
[[nodiscard]] std::string status_screen(const std::vector<server::Status>& servers,
                                        const std::vector<client::Status>& trustpoints,
                                        const Clock& clock);
/// Of such a screen; unknown if it has no line.
[[nodiscard]] Health worst_of(std::string_view screen);

}  // namespace umbra::console
