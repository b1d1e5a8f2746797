#pragma once

#include "base/http.h"
#include "base/result.h"
#include "base/time.h"

/// What an HTTP answer is worth to a trustpoint, before anybody looks into it.
namespace umbra::client {

/// Of status 200, with a body that is not longer than any chain of certificates. Errors:
/// unreachable.
[[nodiscard]] Result<HttpReply> usable(Result<HttpReply> reply);
/// It says when to come again (RFC 9110 10.2.3); 429 is RFC 6585's.
[[nodiscard]] bool busy(const HttpReply& reply);
/// When one that is busy is to be asked again: in an hour at most, whatever it asks for.
[[nodiscard]] Time come_again_at(const HttpReply& reply, Time now);

}  // namespace umbra::client
