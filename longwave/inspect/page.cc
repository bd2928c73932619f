// SPDX-License-Identifier: Apache-2.0
#include "longwave/inspect/page.h"

#include <fmt/core.h>

#include <string_view>

#include "longwave/inspect/svg.h"

namespace longwave::inspect {
namespace {

constexpr std::string_view kStyle = R"(
:root{color-scheme:light dark;--paper:#fcfcfb;--card:#fff;--ink:#1d2126;--quiet:#626b75;
--rule:#e3e6e9;--i1:#2461a6;--i2:#c0501f;--i3:#2c7a51;--i4:#7b4b9c;--i5:#a0700c;--i6:#11727f;
--faint:#8a929b;--spread:#b9cce3}
@media (prefers-color-scheme:dark){:root{--paper:#14171a;--card:#1b1f23;--ink:#e4e7ea;
--quiet:#98a1aa;--rule:#2d333a;--i1:#6fa8e6;--i2:#ee8a57;--i3:#6cc493;--i4:#bd8fdd;--i5:#d9ac4f;
--i6:#58bccb;--faint:#7d8791;--spread:#34506f}}
*{box-sizing:border-box}
body{margin:0;background:var(--paper);color:var(--ink);font:15px/1.55 system-ui,sans-serif}
main{max-width:1180px;margin:0 auto;padding:40px 24px 64px}
h1{font-size:27px;line-height:1.25;margin:0 0 6px;font-weight:650;overflow-wrap:anywhere}
h2{font-size:19px;margin:44px 0 4px;padding-top:20px;border-top:1px solid var(--rule)}
p{margin:0 0 12px}.lead,.facts,footer{color:var(--quiet)}
dl{display:flex;flex-wrap:wrap;gap:10px 40px;margin:22px 0 0}
dt{font-size:12.5px;color:var(--quiet)}dd{margin:0;font-size:22px;font-weight:600;
font-variant-numeric:tabular-nums}
.figures{display:grid;grid-template-columns:repeat(auto-fit,minmax(330px,1fr));gap:16px;
margin-top:14px}
figure{margin:0;padding:14px 14px 10px;background:var(--card);border:1px solid var(--rule);
border-radius:8px;display:flex;flex-direction:column}
figcaption{font-size:13px;line-height:1.45;color:var(--quiet);margin-bottom:8px}
figcaption b{color:var(--ink);font-weight:600}
.plot{display:block;max-width:100%;height:auto;margin:0 auto}
.legend{font-size:12px;color:var(--quiet);margin:6px 0 0}
.key{white-space:nowrap;margin-right:10px}
.key::before{content:"";display:inline-block;width:10px;height:10px;border-radius:2px;
margin-right:5px;vertical-align:-1px;background:currentColor}
.key.i1::before{color:var(--i1)}.key.i2::before{color:var(--i2)}.key.i3::before{color:var(--i3)}
.key.i4::before{color:var(--i4)}.key.i5::before{color:var(--i5)}.key.i6::before{color:var(--i6)}
.key.faint::before{color:var(--faint)}.key.spread::before{color:var(--spread)}
.grid path{stroke:var(--rule);fill:none;shape-rendering:crispEdges}
.plot text{fill:var(--quiet);font:11px system-ui,sans-serif;text-anchor:middle;
font-variant-numeric:tabular-nums}.plot text.left{text-anchor:end}
.line{fill:none;stroke-width:1.3;stroke-linejoin:round}.area{stroke:none}.dots{stroke:none}
.line.i1{stroke:var(--i1)}.line.i2{stroke:var(--i2)}.line.i3{stroke:var(--i3)}
.line.i4{stroke:var(--i4)}.line.i5{stroke:var(--i5)}.line.i6{stroke:var(--i6)}
.line.faint{stroke:var(--faint)}.line.spread{stroke:var(--spread)}
.i1{fill:var(--i1)}.i2{fill:var(--i2)}.i3{fill:var(--i3)}.i4{fill:var(--i4)}.i5{fill:var(--i5)}
.i6{fill:var(--i6)}.faint{fill:var(--faint)}.spread{fill:var(--spread)}
.plot .line{fill:none}.area.spread{opacity:.75}
.wide{overflow-x:auto;margin-top:14px}
table{border-collapse:collapse;font-size:13px;width:100%;font-variant-numeric:tabular-nums}
th,td{text-align:right;padding:5px 12px;border-bottom:1px solid var(--rule);white-space:nowrap}
th{color:var(--quiet);font-weight:500}th:first-child,td:first-child{text-align:left}
td:first-child{font-family:ui-monospace,monospace;font-size:12.5px}
footer{margin-top:44px;font-size:13px}
)";

}  // namespace

std::string html_page(const Page& page) {
  return fmt::format(
             "<!DOCTYPE html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\"/>\n"
             "<meta name=\"viewport\" content=\"width=device-width, initial-scale=1\"/>\n"
             "<title>{}</title>\n<style>{}</style>\n</head>\n<body>\n<main>\n",
             escape_markup(page.title), kStyle) +
         page.body +
         fmt::format("<footer>{}</footer>\n</main>\n</body>\n</html>\n", escape_markup(page.foot));
}

}  // namespace longwave::inspect
