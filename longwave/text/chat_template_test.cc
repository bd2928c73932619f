// SPDX-License-Identifier: Apache-2.0
#include "longwave/text/chat_template.h"

#include <gtest/gtest.h>

#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "longwave/base/error.h"
#include "longwave/io/file.h"

namespace longwave::text {
namespace {

using Json = nlohmann::json;

std::string render(const std::string& source, std::span<const Message> messages = {}) {
  return ChatTemplate::parse(source, "test", "<s>", "</s>").render(messages);
}

std::string refusal(const std::string& source) {
  try {
    return "accepted: " + render(source);
  } catch (const DataError& error) {
    return error.what();
  }
}

/// What Python made of the same template and messages; it may have refused them.
TEST(ChatTemplate, EqualsPythonsJinja) {
  const char* other = std::getenv("LONGWAVE_CHAT_TEMPLATES");
  const Json cases = Json::parse(io::read_text(
      other != nullptr ? other : LONGWAVE_SOURCE_DIR "/tests/fixtures/chat_templates.json",
      1 << 26));
  for (const Json& each : cases) {
    const std::string source = each["template"];
    std::vector<Message> messages;
    for (const Json& message : each["messages"]) {
      messages.push_back({message["role"], message["content"]});
    }
    try {
      const ChatTemplate chat = ChatTemplate::parse(source, "test", "<s>", "</s>");
      for (const char* end : {"asking", "closed"}) {
        const std::string got =
            std::string(end) == "asking" ? chat.render(messages) : chat.render_closed(messages);
        EXPECT_EQ(each[end].is_null() ? "refused" : each[end].get<std::string>(), got) << source;
      }
    } catch (const DataError& error) {
      EXPECT_TRUE(each["asking"].is_null()) << source << "\n" << error.what();
    }
  }
}

TEST(ChatTemplate, RefusalsSayWhereAndWhat) {
  EXPECT_NE(refusal("a\nb{% include 'x' %}").find("test:2: the tag include"), std::string::npos);
  EXPECT_NE(refusal("{{ x | xmlattr }}").find("the filter xmlattr"), std::string::npos);
  EXPECT_NE(refusal("{{ 'a'.format(1) }}").find("the method format"), std::string::npos);
  EXPECT_NE(refusal("{{ raise_exception('only users') }}").find("only users"), std::string::npos);
  EXPECT_NE(refusal("{{ ''.__class__ }}").find("accepted: "), std::string::npos)
      << "there is nothing behind such names";
  EXPECT_NE(refusal("{{ ''.__class__.__mro__ }}").find("not defined"), std::string::npos);
}

TEST(ChatTemplate, StrangersTemplatesAreBounded) {
  // What a loop does counts, and what it makes.
  const std::string loops = "{% for a in range(99999) %}{% for b in 'aaaaaaaaaaaaaaaa' %}";
  const std::string many = refusal(loops +
                                   "{% if a == 1 or b == 1 or a == 2 %}{% endif %}"
                                   "{% endfor %}{% endfor %}");
  EXPECT_TRUE(many.find("does not end") != std::string::npos ||
              many.find("too much") != std::string::npos)
      << many;
  EXPECT_NE(refusal("{{ 'aaaaaaaa' * 99999999 * 99999999 }}").find("too much"), std::string::npos);
  EXPECT_NE(refusal("{% set n = namespace(x='ab') %}{% for i in range(99) %}"
                    "{% set n.x = n.x + n.x %}{% endfor %}")
                .find("too much"),
            std::string::npos);
  EXPECT_NE(refusal("{{ ('a' * 9999).replace('a', 'b' * 99999) }}").find("too much"),
            std::string::npos);
  EXPECT_NE(refusal("{% macro f() %}{{ f() }}{% endmacro %}{{ f() }}").find("too deeply"),
            std::string::npos);
  for (const char* part : {"(", "[", "not ", "-", "{% if 1 %}", "x if ", "x[", "f("}) {
    std::string deep = part[0] == '{' ? "" : "{{ ";
    for (int i = 0; i < 100000; ++i) deep += part;
    EXPECT_NE(refusal(deep).find("too deeply"), std::string::npos) << part;
    // Just short enough to be read.
    std::string chain = part[0] == '{' ? "" : "{{ ";
    for (int i = 0; i < 700; ++i) chain += part;
    static_cast<void>(refusal(chain + "1 }}"));
  }
  for (const char* part : {" + 1", ".a", "|string", " ~ 1", "[0]", " if 1 else 1", " == 1"}) {
    std::string chain = "{{ 1";
    for (int i = 0; i < 300; ++i) chain += part;
    static_cast<void>(refusal(chain + " }}"));
    for (int i = 0; i < 50000; ++i) chain += part;
    EXPECT_NE(refusal(chain + " }}").find("too deeply"), std::string::npos) << part;
  }
  EXPECT_NE(refusal("{% set n = namespace() %}{% set n.n = n %}").find("not supported"),
            std::string::npos);
}

}  // namespace
}  // namespace longwave::text
