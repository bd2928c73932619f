// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <string>

namespace longwave::inspect {

/// What stands on a page.
struct Page {
  std::string title;  ///< plain text, of the browser's window
  std::string body;   ///< HTML of what is shown
  std::string foot;   ///< plain text below: program, version and command
};

/// One self-contained HTML page with inline SVG: no script, no outside file, light and dark.
std::string html_page(const Page& page);

}  // namespace longwave::inspect
