#pragma once

namespace umbra::io {

/// What is in this process's memory stays there: no core dumps, whatever the limits of who started
/// it, and nobody but root may look into it or attach to it. Before the first secret is read.
void keep_memory_private();

}  // namespace umbra::io
