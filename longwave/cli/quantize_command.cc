// SPDX-License-Identifier: Apache-2.0
#include <fmt/core.h>

#include <map>
#include <nlohmann/json.hpp>
#include <string>
#include <utility>
#include <vector>

#include "longwave/cli/commands.h"
#include "longwave/cli/out_name.h"
#include "longwave/inspect/number_text.h"
#include "longwave/io/atomic_file.h"
#include "longwave/runtime/companions.h"
#include "longwave/runtime/model_folder.h"
#include "longwave/runtime/quantize_model.h"

namespace longwave::cli {
namespace {

using runtime::QuantizedTensor;

DType type_of(const std::string& text) {
  if (text == "f16") return DType::kFloat16;
  if (text == "bf16") return DType::kBFloat16;
  return *dtype_named(text);
}

struct Totals {
  size_t before = 0;
  size_t after = 0;
};

void print_json(const std::string& out, const std::vector<QuantizedTensor>& tensors,
                const Totals& totals, Console& console) {
  nlohmann::ordered_json json{
      {"folder", out}, {"bytes_before", totals.before}, {"bytes_after", totals.after}};
  json["tensors"] = nlohmann::ordered_json::array();
  for (const QuantizedTensor& tensor : tensors) {
    json["tensors"].push_back({{"name", tensor.name},
                               {"shape", tensor.shape},
                               {"from", name_of(tensor.from)},
                               {"to", name_of(tensor.to)},
                               {"fits", tensor.fits},
                               {"bytes_before", tensor.bytes_before},
                               {"bytes_after", tensor.bytes_after},
                               {"relative_error", tensor.error}});
  }
  console.out << json.dump(2) << '\n';
}

void print_table(const std::string& out, const std::vector<QuantizedTensor>& tensors,
                 const Totals& totals, Console& console) {
  const auto text = [](size_t bytes) { return inspect::byte_text(static_cast<int64_t>(bytes)); };
  for (const QuantizedTensor& tensor : tensors) {
    console.out << fmt::format("{:<40} {:>18} {:>9} -> {:<9} {:>12} -> {:<12} error {:.2e}{}\n",
                               tensor.name, to_string(tensor.shape), name_of(tensor.from),
                               name_of(tensor.to), text(tensor.bytes_before),
                               text(tensor.bytes_after), tensor.error,
                               tensor.fits ? "" : "  (rows are no multiple of the block)");
  }
  console.out << fmt::format("{}: {} -> {}, {} matrices\n", out, text(totals.before),
                             text(totals.after), tensors.size());
}

ExitCode run_quantize(Call& call) {
  const std::string& in = call.words.at(0);
  const std::string& out = call.options.text("out");
  io::require_new(out);
  require_folder_name(out, "name a folder, or write the file by longwave convert MODEL " + out +
                               " --to gguf --type " + call.options.text("to"));
  const DType to = type_of(call.options.text("to"));
  const runtime::ModelSource model = runtime::open_model_folder(in);
  Totals totals;
  std::map<std::string, QuantizedTensor> became;
  const auto change = [&](const Parameter& parameter, Tensor tensor) {
    totals.before += tensor.bytes();
    if (parameter.storage == Storage::kMatrix) {
      auto [small, report] = runtime::quantize_tensor(parameter, tensor, to);
      tensor = std::move(small);
      became.emplace(parameter.name, std::move(report));
    }
    totals.after += tensor.bytes();
    return tensor;
  };
  const auto type = [to](const Parameter& parameter) {
    return runtime::quantized_type(parameter, to);
  };
  io::AtomicFolder atomic(out);
  runtime::write_model_files(atomic.path(), model, {.type = type, .change = change});
  runtime::write_companions(atomic.path(), runtime::load_companions(in));
  atomic.commit();
  std::vector<QuantizedTensor> tensors;
  for (const Parameter& parameter : models::parameters(model.config)) {
    const auto found = became.find(parameter.name);
    if (found != became.end()) tensors.push_back(std::move(found->second));
  }
  if (call.json()) {
    print_json(out, tensors, totals, call.console);
  } else {
    print_table(out, tensors, totals, call.console);
  }
  return ExitCode::kOk;
}

}  // namespace

Command quantize_command() {
  return {
      .name = "quantize",
      .summary = "Store the matrices of a model in fewer bits",
      .description =
          "Reads a run, a model folder, a published checkpoint or a GGUF file and writes a model "
          "folder whose matrices are of the type that is asked for. A, step sizes, norms, "
          "convolutions, biases, routers and states stay float32. With 4 bits, embedding and head "
          "get the next larger type. A matrix whose rows are no multiple of the block gets q8_0 or "
          "bfloat16, and is named. Sizes and errors are printed for each matrix.",
      .examples = {{"longwave quantize mamba-130m-hf --to q8_0 --out mamba-130m-q8",
                    "a quarter of the bytes"},
                   {"longwave quantize runs/demo --to q4_k --out small --json", "for a machine"}},
      .positionals = {{.name = "MODEL",
                       .help = "run, model folder, published checkpoint or GGUF file"}},
      .flags = {{.option = {.key = "to",
                            .value = std::string("q8_0"),
                            .help = "type of the matrices",
                            .choices = {"q8_0", "q4_0", "q4_k", "q6_k", "f16", "bf16"}},
                 .takes = "TYPE"},
                {.option = {.key = "out",
                            .value = std::string("quantized"),
                            .help = "the folder to make"},
                 .takes = "FOLDER"}},
      .run = run_quantize,
      .stray = "out",
  };
}

}  // namespace longwave::cli
