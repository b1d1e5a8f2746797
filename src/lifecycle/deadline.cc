#include "lifecycle/deadline.h"

namespace umbra::lifecycle {

std::string label(const Deadline& deadline) {
  const auto named = [&](const char* timer) {
    return deadline.owner.empty() ? timer : std::string(timer) + " " + deadline.owner;
  };
  switch (deadline.timer) {
    case Timer::cs_cert_expire:
      return "CS CERT EXPIRE";
    case Timer::cs_shadow_cert_generation:
      return "CS SHADOW CERT GENERATION";
    case Timer::cs_crl_update:
      return "CS CRL UPDATE";
    case Timer::er_expire:
      return named("ER EXPIRE");
    case Timer::renew:
      return named("RENEW");
    case Timer::shadow:
      return named("SHADOW");
    case Timer::poll:
      return named("POLL");
    case Timer::connect_retry:
      return named("CONNECT RETRY");
    case Timer::expiry_alert:
      return named("EXPIRY ALERT");
    case Timer::switch_over:
      return named("SWITCH OVER");
    case Timer::announce:
      return named("ANNOUNCE");
  }
  return "";
}

bool is_cs_timer(Timer timer) {
  return timer == Timer::cs_cert_expire || timer == Timer::cs_shadow_cert_generation ||
         timer == Timer::cs_crl_update || timer == Timer::er_expire;
}

}  // namespace umbra::lifecycle
