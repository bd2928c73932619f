// SPDX-License-Identifier: Apache-2.0
#include <fmt/core.h>

#include <filesystem>
#include <nlohmann/json.hpp>
#include <optional>
#include <string>
#include <vector>

#include "longwave/cli/commands.h"
#include "longwave/cli/out_name.h"
#include "longwave/inspect/number_text.h"
#include "longwave/io/atomic_file.h"
#include "longwave/ops/quant/quant.h"
#include "longwave/runtime/companions.h"
#include "longwave/runtime/gguf_file.h"
#include "longwave/runtime/model_folder.h"
#include "longwave/runtime/published_folder.h"

namespace longwave::cli {
namespace {

namespace fs = std::filesystem;

using models::PublishedFormat;
using models::PublishedTensor;

std::optional<PublishedFormat> format_of(const std::string& name) {
  for (const PublishedFormat format :
       {PublishedFormat::kStateSpaces, PublishedFormat::kHuggingFace, PublishedFormat::kGguf}) {
    if (name == models::name_of(format)) return format;
  }
  return std::nullopt;
}

/// The element types of GGUF files by llama.cpp's names; none to keep what the model has.
std::optional<DType> type_of(const std::string& name) {
  if (name == "f32") return DType::kFloat32;
  if (name == "f16") return DType::kFloat16;
  if (name == "bf16") return DType::kBFloat16;
  return dtype_named(name);
}

/// Float32 numbers only, as folders hold them.
runtime::ModelChange plain() {
  return {.type = [](const Parameter&) { return DType::kFloat32; },
          .change =
              [](const Parameter&, Tensor tensor) {
                return tensor.dtype() == DType::kFloat32 ? std::move(tensor)
                                                         : ops::dequantize(tensor);
              }};
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

void write_folder(const std::string& out, std::optional<PublishedFormat> format,
                  const runtime::ModelSource& model, const runtime::Companions& companions) {
  if (format) return runtime::save_published_folder(out, *format, model, companions);
  io::AtomicFolder atomic(out);
  runtime::write_model_files(atomic.path(), model, plain());
  runtime::write_companions(atomic.path(), companions);
  atomic.commit();
}

/// Writes the model, and returns its configuration.
models::Config write(const std::string& in, const std::string& out,
                     std::optional<PublishedFormat> format, std::optional<DType> type) {
  const runtime::Companions companions = runtime::load_companions(in);
  const runtime::ModelSource model = runtime::open_model_folder(in);
  if (format == PublishedFormat::kGguf) {
    runtime::save_gguf_model(out, model, companions, type);
  } else {
    write_folder(out, format, model, companions);
  }
  return model.config;
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

/// What is called .gguf is to be such a file, and nothing else.
void check_name(const fs::path& out, std::optional<PublishedFormat> format) {
  if (format != PublishedFormat::kGguf) return require_folder_name(out, "add --to gguf");
  if (out.extension() == ".gguf") return;
  throw ConfigError({.where = out.string(),
                     .what = "the name of a GGUF file must end in .gguf",
                     .got = out.filename().string(),
                     .fix = "write to " + out.string() + ".gguf"});
}

ExitCode run_convert(Call& call) {
  const std::string& in = call.words.at(0);
  const std::string& out = call.words.at(1);
  const std::optional<PublishedFormat> format = format_of(call.options.text("to"));
  const std::string& type = call.options.text("type");
  const bool gguf = format == PublishedFormat::kGguf;
  if (type != "keep" && !gguf) {
    throw ConfigError({.where = "--type",
                       .what = "folders hold float32 numbers",
                       .got = type,
                       .fix = "leave it out, or write a file with --to gguf"});
  }
  check_name(out, format);
  io::require_new(out);
  report(out, tensors_of(format, write(in, out, format, type_of(type))), call);
  return ExitCode::kOk;
}

}  // namespace

Command convert_command() {
  return {
      .name = "convert",
      .summary = "Write a model in another form: Longwave's, state-spaces', Hugging Face's or GGUF",
      .description =
          "Reads a run, a model folder, a published model or a GGUF file and writes the same "
          "numbers, with the configuration and the names of the form that is asked for: into a "
          "new folder as float32, or into a GGUF file, whose matrices --type can make smaller. "
          "What a form cannot express is refused by the option's name.",
      .examples = {{"longwave convert runs/tuned tuned-hf --to hf", "for transformers"},
                   {"longwave convert mamba-130m-hf mamba-130m --list", "and say what went where"},
                   {"longwave convert mamba-130m-hf mamba-130m.gguf --to gguf --type q8_0",
                    "for llama.cpp, in 8 bits"}},
      .positionals = {{.name = "MODEL",
                       .help = "run folder, model folder, published checkpoint or .gguf file"},
                      {.name = "OUT", .help = "the folder or .gguf file to make"}},
      .flags = {{.option = {.key = "to",
                            .value = std::string("longwave"),
                            .help = "the form to write",
                            .choices = {"longwave", "state-spaces", "hf", "gguf"}},
                 .takes = "FORM"},
                {.option = {.key = "type",
                            .value = std::string("keep"),
                            .help = "of the matrices in a GGUF file",
                            .choices = {"keep", "f32", "f16", "bf16", "q8_0", "q4_0", "q4_k",
                                        "q6_k"}},
                 .takes = "TYPE"},
                {.option = {.key = "list",
                            .value = false,
                            .help = "print every tensor with its name there and here"}}},
      .run = run_convert,
  };
}

}  // namespace longwave::cli
