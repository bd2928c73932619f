// SPDX-License-Identifier: Apache-2.0
#include <fmt/core.h>

#include <iterator>
#include <nlohmann/json.hpp>

#include "longwave/cli/commands.h"
#include "longwave/data/dataset.h"
#include "longwave/data/export.h"
#include "longwave/inspect/number_text.h"

namespace longwave::cli {
namespace {

using data::Dataset;
using data::Example;
using data::TaskInfo;
using Json = nlohmann::ordered_json;

data::Split split_of(const Options& options) {
  const std::string& name = options.text("split");
  if (name == "validation") return data::Split::kValidation;
  return name == "test" ? data::Split::kTest : data::Split::kTrain;
}

/// The source's options with the overrides of the command line.
Options source_options(const data::Source& source, const std::vector<std::string>& words) {
  Options options(source.schema());
  const std::string prefix = std::string(source.name) + ".";
  for (size_t i = 1; i < words.size(); ++i) {
    const bool has_prefix = words[i].starts_with(prefix);
    options.assign(has_prefix ? words[i].substr(prefix.size()) : words[i], "command line");
  }
  return options;
}

void list_sources(Call& call) {
  if (call.json()) {
    Json list = Json::array();
    for (const data::Source& source : data::sources()) {
      list.push_back({{"name", source.name}, {"summary", source.summary}});
    }
    call.console.out << list.dump(2) << '\n';
    return;
  }
  for (const data::Source& source : data::sources()) {
    call.console.out << fmt::format("{:<20} {}\n", source.name, source.summary);
  }
  call.console.say("`longwave data SOURCE` describes one of them");
}

std::string numbers(int64_t count) {
  return count == 1 ? "one real number" : fmt::format("{} real numbers", count);
}

std::string target_text(const TaskInfo& info) {
  switch (info.target) {
    case TaskInfo::Target::kClass:
      return fmt::format("one of {} classes for a sequence", info.target_size);
    case TaskInfo::Target::kValue:
      return numbers(info.target_size) + " for a sequence";
    case TaskInfo::Target::kClassPerStep:
      return fmt::format("one of {} classes for each step", info.target_size);
    case TaskInfo::Target::kValuePerStep:
      return numbers(info.target_size) + " for each step";
  }
  return {};
}

std::string input_text(const TaskInfo& info) {
  return info.input == TaskInfo::Input::kTokens
             ? fmt::format("tokens of a vocabulary of {}", info.input_size)
             : numbers(info.input_size) + " a step";
}

Json value_json(const Value& value) {
  return std::visit([](const auto& held) { return Json(held); }, value);
}

void describe(Call& call, const data::Source& source, const Options& options) {
  const auto seed = static_cast<uint64_t>(call.options.integer("seed"));
  const auto size = [&](data::Split split) { return source.open(options, split, seed)->size(); };
  const int64_t train = size(data::Split::kTrain), validation = size(data::Split::kValidation);
  const std::unique_ptr<Dataset> test = source.open(options, data::Split::kTest, seed);
  const TaskInfo& info = test->info();
  if (call.json()) {
    Json settings = Json::object();
    for (const Option& option : options.schema()) {
      settings[option.key] = {{"value", value_json(options.at(option.key))}, {"help", option.help}};
    }
    call.console.out << Json{{"name", source.name},       {"summary", source.summary},
                             {"input", input_text(info)}, {"target", target_text(info)},
                             {"length", info.length},     {"train", train},
                             {"validation", validation},  {"test", test->size()},
                             {"options", settings}}
                            .dump(2)
                     << '\n';
    return;
  }
  call.console.out << fmt::format(
      "{}: {}\n  input    {}\n  answer   {}\n  length   {} steps at most\n"
      "  sizes    {} train, {} validation, {} test\n\nOptions, in a recipe under [{}]:\n",
      source.name, source.summary, input_text(info), target_text(info),
      inspect::thousands(info.length), inspect::thousands(train), inspect::thousands(validation),
      inspect::thousands(test->size()), source.name);
  for (const Option& option : options.schema()) {
    call.console.out << fmt::format("  {} = {}\n      {}\n", option.key,
                                    to_string(options.at(option.key)), option.help);
  }
}

/// One step a line, as `longwave stream` reads it.
std::string input_lines(const TaskInfo& info, const Example& example) {
  std::string text;
  const auto into = std::back_inserter(text);
  for (const int64_t token : example.tokens) fmt::format_to(into, "{}\n", token);
  const auto width = static_cast<size_t>(info.input_size);
  for (size_t i = 0; i < example.input.size(); ++i) {
    fmt::format_to(into, "{:.9g}{}", example.input[i], (i + 1) % width == 0 ? '\n' : ' ');
  }
  return text;
}

void export_files(Call& call, const data::Source& source, const Options& options) {
  const bool csv = call.options.text("format") == "csv";
  const int64_t count = call.options.integer("count");
  data::ExportOptions how{
      .format = csv ? data::ExportOptions::Format::kCsv : data::ExportOptions::Format::kJsonl,
      .seed = static_cast<uint64_t>(call.options.integer("seed"))};
  if (count > 0) how.most_examples = count;
  for (const data::Exported& file :
       data::export_source(source, options, call.options.text("export"), how)) {
    call.console.say(fmt::format("{} examples written to {}", inspect::thousands(file.examples),
                                 file.file.string()));
  }
}

void print_example(Call& call, const data::Source& source, const Options& options) {
  const auto seed = static_cast<uint64_t>(call.options.integer("seed"));
  const auto dataset = source.open(options, split_of(call.options), seed);
  const int64_t index = call.options.integer("example");
  if (index >= dataset->size()) {
    throw DataError({.where = std::string(source.name),
                     .what = fmt::format("has {} examples in this split", dataset->size()),
                     .got = fmt::format("example {}", index),
                     .fix = "count from 0"});
  }
  const Example example = dataset->example(index);
  if (call.json()) {
    call.console.out << Json{{"input", example.input},
                             {"tokens", example.tokens},
                             {"value", example.value},
                             {"label", example.label}}
                            .dump()
                     << '\n';
    return;
  }
  call.console.out << input_lines(dataset->info(), example);
  if (example.label.size() == 1) {
    call.console.say(fmt::format("example {} has class {}", index, example.label[0]));
  }
}

ExitCode run_data(Call& call) {
  if (call.words.empty()) {
    list_sources(call);
    return ExitCode::kOk;
  }
  const data::Source& source = data::source(call.words[0]);
  const Options options = source_options(source, call.words);
  if (!call.options.text("export").empty()) {
    export_files(call, source, options);
  } else if (call.options.integer("example") >= 0) {
    print_example(call, source, options);
  } else {
    describe(call, source, options);
  }
  return ExitCode::kOk;
}

}  // namespace

Command data_command() {
  return {
      .name = "data",
      .summary = "List and describe sources of data, print and export examples",
      .description =
          "Without a source it lists them all; with one it tells sizes, what a step is and which "
          "options there are. An example is printed one step a line, as `longwave stream` reads "
          "it; its class is told on stderr.",
      .examples =
          {{"longwave data", "all sources"},
           {"longwave data fashion_mnist layout=rows", "one of them, with an option changed"},
           {"longwave data fashion_mnist --split test --example 7 | longwave stream runs/demo "
            "--last",
            "what does the model say to the eighth test image?"},
           {"longwave data delay --export examples --count 100 --format csv",
            "a hundred examples of each split as files"}},
      .positionals = {{.name = "SOURCE",
                       .help = "name of a source, such as fashion_mnist",
                       .count = Positional::Count::kOptional},
                      {.name = "KEY=VALUE",
                       .help = "options of the source, as in a recipe",
                       .count = Positional::Count::kMany}},
      .flags = {{.option = {.key = "split",
                            .value = std::string("train"),
                            .help = "which part of the data an example is from",
                            .choices = {"train", "validation", "test"}}},
                {.option = {.key = "example",
                            .value = int64_t{-1},
                            .help = "print this example, counted from 0",
                            .least = -1}},
                {.option = {.key = "export",
                            .value = std::string(),
                            .help = "write every split to a file in this folder"},
                 .takes = "FOLDER"},
                {.option = {.key = "format",
                            .value = std::string("jsonl"),
                            .help = "of exported files: an example a line, or a row a step",
                            .choices = {"jsonl", "csv"}}},
                {.option = {.key = "count",
                            .value = int64_t{0},
                            .help = "examples to export of each split; 0 means all",
                            .least = 0}},
                {.option = {.key = "seed",
                            .value = int64_t{0},
                            .help = "of generated data; a recipe's seed gives the same examples",
                            .least = 0}}},
      .run = run_data,
  };
}

}  // namespace longwave::cli
