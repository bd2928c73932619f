// SPDX-License-Identifier: Apache-2.0
#include <fmt/format.h>
#include <fmt/ranges.h>

#include <filesystem>
#include <nlohmann/json.hpp>
#include <optional>
#include <string>
#include <vector>

#include "longwave/cli/commands.h"
#include "longwave/inspect/number_text.h"
#include "longwave/io/atomic_file.h"
#include "longwave/runtime/model_folder.h"
#include "longwave/runtime/published_folder.h"

namespace longwave::cli {
namespace {

namespace fs = std::filesystem;

using models::PublishedFormat;
using models::PublishedTensor;

std::optional<PublishedFormat> format_of(const std::string& name) {
  for (const PublishedFormat format :
       {PublishedFormat::kStateSpaces, PublishedFormat::kHuggingFace}) {
    if (name == models::name_of(format)) return format;
  }
  return std::nullopt;
}

/// Nothing that exists is written over.
void check_new(const std::string& folder) {
  std::error_code error;
  if (!fs::exists(folder, error) || fs::is_empty(folder, error)) return;
  throw IoError({.where = folder,
                 .what = "there is something already",
                 .got = {},
                 .fix = "choose another folder"});
}

/// What OUT holds under which names.
std::vector<PublishedTensor> tensors_of(std::optional<PublishedFormat> format,
                                        const models::Config& config) {
  if (format) return models::published_tensors(*format, config);
  std::vector<PublishedTensor> tensors;
  for (const Parameter& parameter : models::parameters(config)) {
    tensors.push_back({parameter.name, parameter.name, parameter.shape});
  }
  return tensors;
}

void write(const std::string& out, std::optional<PublishedFormat> format,
           const runtime::ModelFolder& model, const text::Tokenizer* tokenizer) {
  if (format) return runtime::save_published_folder(out, *format, model, tokenizer);
  io::AtomicFolder atomic(out);
  runtime::write_model_files(atomic.path(), model.config, model.weights);
  if (tokenizer != nullptr) runtime::write_tokenizer(atomic.path(), *tokenizer);
  atomic.commit();
}

void report(const std::string& out, const std::vector<PublishedTensor>& tensors, Call& call) {
  const std::string& to = call.options.text("to");
  int64_t numbers = 0;
  for (const PublishedTensor& tensor : tensors) numbers += element_count(tensor.shape);
  if (call.json()) {
    nlohmann::ordered_json json{{"folder", out}, {"format", to}, {"numbers", numbers}};
    for (const PublishedTensor& tensor : tensors) {
      json["tensors"].push_back(
          {{"name", tensor.theirs}, {"longwave", tensor.ours}, {"shape", tensor.shape}});
    }
    call.console.out << json.dump(2) << '\n';
    return;
  }
  if (call.options.flag("list")) {
    for (const PublishedTensor& tensor : tensors) {
      call.console.out << fmt::format("{} <- {} {}\n", tensor.theirs, tensor.ours,
                                      to_string(tensor.shape));
    }
  }
  call.console.out << fmt::format("{}: {} tensors, {} numbers, in the form {}\n", out,
                                  tensors.size(), inspect::thousands(numbers), to);
}

ExitCode run_convert(Call& call) {
  const std::string& in = call.words.at(0);
  const std::string& out = call.words.at(1);
  const std::optional<PublishedFormat> format = format_of(call.options.text("to"));
  check_new(out);
  const runtime::ModelFolder model = runtime::load_model_folder(in);
  write(out, format, model, runtime::load_tokenizer(in).get());
  report(out, tensors_of(format, model.config), call);
  return ExitCode::kOk;
}

}  // namespace

Command convert_command() {
  return {
      .name = "convert",
      .summary = "Write a model in another form: Longwave's, state-spaces' or Hugging Face's",
      .description =
          "Reads a run, a model folder or a published Mamba or Mamba-2 and writes the same numbers "
          "as float32 into a new folder, with the configuration and the names of the form that is "
          "asked for. What a form cannot express is refused by the option's name.",
      .examples = {{"longwave convert runs/tuned tuned-hf --to hf", "for transformers"},
                   {"longwave convert mamba-130m-hf mamba-130m --list", "and say what went where"}},
      .positionals = {{.name = "MODEL", .help = "run folder, model folder or published checkpoint"},
                      {.name = "OUT", .help = "the folder to make"}},
      .flags = {{.option = {.key = "to",
                            .value = std::string("longwave"),
                            .help = "the form to write",
                            .choices = {"longwave", "state-spaces", "hf"}},
                 .takes = "FORM"},
                {.option = {.key = "list",
                            .value = false,
                            .help = "print every tensor with its name there and here"}}},
      .run = run_convert,
  };
}

}  // namespace longwave::cli
