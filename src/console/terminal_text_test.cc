#include "console/terminal_text.h"

#include <gtest/gtest.h>

namespace umbra::console {
namespace {

TEST(TerminalText, NothingInItMovesTheTerminal) {
  EXPECT_EQ(terminal_text("a\tb\nc"), "a\tb\nc");
  EXPECT_EQ(terminal_text("\x1b[2J\x07\r\x7f"), "?[2J???");
  EXPECT_EQ(terminal_text("M\xc3\xbcnchen \xe2\x82\xac"), "M\xc3\xbcnchen \xe2\x82\xac");
  EXPECT_EQ(terminal_text("\xc2\x9b"
                          "31m"),
            "?31m")
      << "CSI as one character";
  EXPECT_EQ(terminal_text("a\xe2\x80\xae"
                          "b"),
            "a?b")
      << "right to left";
  EXPECT_EQ(terminal_text("\x9b\xff\xc3"), "???") << "no UTF-8";
  EXPECT_EQ(terminal_text("\xc0\x9b\xe0\x82\x9b"), "?????") << "longer than needed";
}

}  // namespace
}  // namespace umbra::console
