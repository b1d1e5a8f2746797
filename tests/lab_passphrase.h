#pragma once

namespace umbra {

/// What seals keys in tests: of the random kind, which is opened with fewer rounds.
inline constexpr const char* lab_passphrase = "AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8=";

}  // namespace umbra
