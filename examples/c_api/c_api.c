/* SPDX-License-Identifier: Apache-2.0
 * c_api MODEL PROMPT: the runtime from C: load, tokenize, prefill, draw, fork, stream. */
#include <longwave/longwave_c.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { kMostTokens = 4096, kAnswer = 40 };

static void check(longwave_status status) {
  if (status == LONGWAVE_OK) return;
  fprintf(stderr, "%s\n", longwave_last_error());
  exit(1);
}

static int show(void* user, int64_t id, const char* text, size_t bytes) {
  (void)user;
  (void)id;
  fwrite(text, 1, bytes, stdout);
  return fflush(stdout) == 0; /* 0 ends the answer */
}

int main(int argc, char** argv) {
  if (argc != 3) {
    fprintf(stderr, "usage: c_api MODEL PROMPT\n");
    return 2;
  }
  longwave_model* model = NULL;
  longwave_session* session = NULL;
  check(longwave_model_load(argv[1], &model));
  check(longwave_session_create(model, &session));

  static int64_t ids[kMostTokens];
  size_t count = 0, numbers = 0;
  check(longwave_encode_prompt(model, argv[2], strlen(argv[2]), ids, kMostTokens, &count));

  if (count == 0) {
    fprintf(stderr, "the prompt is empty\n");
    return 1;
  }

  /* All of the prompt but its last token; then keep a copy of where the session stands. */
  const float* logits = NULL;
  check(longwave_prefill_tokens(session, ids, count - 1, &logits, &numbers));
  longwave_state* fork = NULL;
  check(longwave_state_of(session, &fork));

  /* One token at a time: the most likely ones. */
  const size_t vocabulary = (size_t)longwave_model_output_size(model);
  check(longwave_step_token(session, ids[count - 1], &logits));
  longwave_sampling sampling;
  longwave_sampling_init(&sampling);
  sampling.temperature = 0;
  longwave_sampler* sampler = NULL;
  check(longwave_sampler_create(&sampling, &sampler));
  for (int i = 0; i < kAnswer; ++i) {
    int64_t id = 0;
    check(longwave_sampler_next(sampler, logits, vocabulary, &id));
    printf("%lld ", (long long)id);
    check(longwave_step_token(session, id, &logits));
  }
  printf("\n");

  /* Back to the copy, and an answer that is shown as it comes. */
  check(longwave_session_restore(session, fork));
  sampling.temperature = 0.8;
  check(longwave_generate(session, ids + count - 1, 1, &sampling, kAnswer, show, NULL, NULL));
  printf("\n");

  longwave_sampler_free(sampler);
  longwave_state_free(fork);
  longwave_session_free(session);
  longwave_model_free(model);
  return 0;
}
