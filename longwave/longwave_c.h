/* SPDX-License-Identifier: Apache-2.0 */
#ifndef LONGWAVE_LONGWAVE_C_H_
#define LONGWAVE_LONGWAVE_C_H_

/*
 * The runtime from C, or from any language that calls C: load a model, feed a session, draw tokens,
 * keep, copy and restore its state. examples/c_api shows all of it.
 *
 * Handles    opaque. What a function hands out through its last argument is the caller's to free
 *            with the function of its type; freeing NULL is allowed. A session keeps its model
 *            alive, so that they can be freed in any order.
 * Errors     every function that can fail returns a longwave_status; nothing is changed and nothing
 *            handed out unless it is LONGWAVE_OK. longwave_last_error has the text. No C++
 *            exception leaves this interface.
 * Threads    a model is immutable: share it among threads freely. A session, a batch, a state or a
 *            sampler belongs to one thread at a time. The text of the last error is each thread's
 *            own.
 * Versions   functions and statuses are only ever added within one LONGWAVE_C_VERSION. Structures
 *            begin with their size as the caller compiled it: fill them with their _init function.
 */

#include <stddef.h>
#include <stdint.h>

#if defined(__GNUC__)
#define LONGWAVE_C_API __attribute__((visibility("default")))
#else
#define LONGWAVE_C_API
#endif

#ifdef __cplusplus
extern "C" {
#endif

/* Of this header; longwave_c_version() is that of the library that was loaded. */
#define LONGWAVE_C_VERSION 1

typedef enum longwave_status {
  LONGWAVE_OK = 0,
  LONGWAVE_INVALID_ARGUMENT = 1, /* the call breaks what its description says */
  LONGWAVE_BAD_CONFIG = 2,       /* a description of a model is not acceptable */
  LONGWAVE_BAD_DATA = 3,         /* a file or a number is malformed or not finite */
  LONGWAVE_IO_ERROR = 4,         /* the file system refused */
  LONGWAVE_OUT_OF_MEMORY = 5,
  LONGWAVE_TOO_SMALL = 6, /* the buffer: the needed size was handed out, nothing was written */
  LONGWAVE_FAILED = 7     /* anything else */
} longwave_status;

typedef struct longwave_model longwave_model;
typedef struct longwave_session longwave_session;
typedef struct longwave_batch longwave_batch;
typedef struct longwave_state longwave_state;
typedef struct longwave_sampler longwave_sampler;

LONGWAVE_C_API int longwave_c_version(void);

/* What went wrong in the last call of this thread that failed: where, what, what was got, how to
 * fix it. Valid until the next call of this thread; "" if none failed yet. */
LONGWAVE_C_API const char* longwave_last_error(void);

/* ---- models ---- */

/* A model's folder, or a run's, or a file that holds a model. */
LONGWAVE_C_API longwave_status longwave_model_load(const char* path, longwave_model** model);
LONGWAVE_C_API void longwave_model_free(longwave_model* model);

/* 1 if a step is a token, 0 if it is `input_size` real numbers. */
LONGWAVE_C_API int longwave_model_takes_tokens(const longwave_model* model);
/* Features of a step, or the vocabulary. */
LONGWAVE_C_API int64_t longwave_model_input_size(const longwave_model* model);
/* Numbers of an answer: the vocabulary of a language model. */
LONGWAVE_C_API int64_t longwave_model_output_size(const longwave_model* model);
/* 1 if the model has a tokenizer. */
LONGWAVE_C_API int longwave_model_has_tokenizer(const longwave_model* model);

/* The tokens of `bytes` bytes of UTF-8, and no others: for a part of a text. `count` gets how many
 * there are, also if there is no room for them (LONGWAVE_TOO_SMALL). */
LONGWAVE_C_API longwave_status longwave_encode(const longwave_model* model, const char* text,
                                               size_t bytes, int64_t* ids, size_t capacity,
                                               size_t* count);
/* The same after the tokens that the model expects before a text, such as a first one (BOS), if it
 * expects any: for a prompt, and what the command line does. */
LONGWAVE_C_API longwave_status longwave_encode_prompt(const longwave_model* model, const char* text,
                                                      size_t bytes, int64_t* ids, size_t capacity,
                                                      size_t* count);
/* The text of tokens, without the special ones and without a terminating zero; `bytes` gets its
 * size. A single token may be a part of a character. */
LONGWAVE_C_API longwave_status longwave_decode(const longwave_model* model, const int64_t* ids,
                                               size_t count, char* text, size_t capacity,
                                               size_t* bytes);

/* ---- sessions ---- */

LONGWAVE_C_API longwave_status longwave_session_create(const longwave_model* model,
                                                       longwave_session** session);
/* What a state is rounded to after every call and takes when it is saved; what that changes is told
 * by `longwave perplexity --state`. longwave_session_create keeps float32. */
typedef enum longwave_state_form {
  LONGWAVE_STATE_FLOAT32 = 0,
  LONGWAVE_STATE_BFLOAT16 = 1,
  LONGWAVE_STATE_INT8 = 2
} longwave_state_form;
LONGWAVE_C_API longwave_status longwave_session_create_keeping(const longwave_model* model,
                                                               longwave_state_form form,
                                                               longwave_session** session);
/* Bytes of a saved state without its header. */
LONGWAVE_C_API int64_t longwave_session_state_bytes(const longwave_session* session);
LONGWAVE_C_API void longwave_session_free(longwave_session* session);

/* Any number of steps at once. `answers` points to `count` numbers, `output_size` for each step (or
 * one answer, where the model gives one a sequence); they are valid until the session's next call.
 * The state is untouched if the input is refused. */
LONGWAVE_C_API longwave_status longwave_prefill_tokens(longwave_session* session,
                                                       const int64_t* ids, size_t steps,
                                                       const float** answers, size_t* count);
/* The same for real inputs: `numbers` is steps * input_size. */
LONGWAVE_C_API longwave_status longwave_prefill(longwave_session* session, const float* input,
                                                size_t numbers, const float** answers,
                                                size_t* count);

/* One step; `answer` points to output_size numbers, valid until the session's next call. */
LONGWAVE_C_API longwave_status longwave_step_token(longwave_session* session, int64_t id,
                                                   const float** answer);
LONGWAVE_C_API longwave_status longwave_step(longwave_session* session, const float* sample,
                                             size_t numbers, const float** answer);

/* Tokens that may be wrong, up to 32 at once: the answers to each have the bits of as many steps,
 * in one pass over the weights, and all but the first `keep` can be taken back as long as the
 * session was not moved otherwise: the state is then bitwise what it was after those. Only for
 * sessions that keep float32. */
LONGWAVE_C_API longwave_status longwave_propose_tokens(longwave_session* session,
                                                       const int64_t* ids, size_t steps,
                                                       const float** answers, size_t* count);
LONGWAVE_C_API longwave_status longwave_keep_tokens(longwave_session* session, size_t keep);

/* Steps consumed so far. */
LONGWAVE_C_API int64_t longwave_session_position(const longwave_session* session);
/* Back to before the first step. */
LONGWAVE_C_API longwave_status longwave_session_reset(longwave_session* session);

/* ---- batches: sequences that are moved on together, a step of all reading the weights once ----
 * Each has the bits that a session would give it, as long as at most 32 take part in a step. */

/* Room for `capacity` sequences, whose memory is taken at once. */
LONGWAVE_C_API longwave_status longwave_batch_create(const longwave_model* model, int64_t capacity,
                                                     longwave_batch** batch);
LONGWAVE_C_API void longwave_batch_free(longwave_batch* batch);

/* One more sequence, which goes on from `state` unless that is NULL. `sequence` gets its number,
 * which no later one has. */
LONGWAVE_C_API longwave_status longwave_batch_join(longwave_batch* batch,
                                                   const longwave_state* state, int64_t* sequence);
LONGWAVE_C_API longwave_status longwave_batch_leave(longwave_batch* batch, int64_t sequence);
/* A copy of where a sequence stands. */
LONGWAVE_C_API longwave_status longwave_batch_state_of(const longwave_batch* batch,
                                                       int64_t sequence, longwave_state** state);

/* Any number of steps of one sequence, as longwave_prefill_tokens. */
LONGWAVE_C_API longwave_status longwave_batch_prefill_tokens(longwave_batch* batch,
                                                             int64_t sequence, const int64_t* ids,
                                                             size_t steps, const float** answers,
                                                             size_t* count);
/* One step of each of `count` sequences: ids[i] is the token of sequences[i]. `answers` points to
 * count * output_size numbers, a row for each in the same order; they are valid until the batch's
 * next call. Every state is untouched if one input is refused. */
LONGWAVE_C_API longwave_status longwave_batch_step_tokens(longwave_batch* batch,
                                                          const int64_t* sequences,
                                                          const int64_t* ids, size_t count,
                                                          const float** answers);
/* The same for real inputs: `numbers` is count * input_size. */
LONGWAVE_C_API longwave_status longwave_batch_step(longwave_batch* batch, const int64_t* sequences,
                                                   size_t count, const float* samples,
                                                   size_t numbers, const float** answers);

/* ---- states: the whole memory of a sequence as a value ---- */

/* A copy of where the session stands. */
LONGWAVE_C_API longwave_status longwave_state_of(const longwave_session* session,
                                                 longwave_state** state);
/* Goes on from a state, which any number of sessions can do. Refused if it is another model's. */
LONGWAVE_C_API longwave_status longwave_session_restore(longwave_session* session,
                                                        const longwave_state* state);
LONGWAVE_C_API longwave_status longwave_state_save(const longwave_state* state, const char* path);
LONGWAVE_C_API longwave_status longwave_state_load(const char* path, longwave_state** state);
LONGWAVE_C_API int64_t longwave_state_position(const longwave_state* state);
LONGWAVE_C_API void longwave_state_free(longwave_state* state);

/* ---- drawing tokens ---- */

/* How the next token is drawn. */
typedef struct longwave_sampling {
  size_t struct_size;        /* sizeof(longwave_sampling) of the caller */
  double temperature;        /* divides the logits; 0 takes the most likely token */
  int64_t top_k;             /* only so many of the most likely tokens; 0 = all */
  double top_p;              /* only the fewest tokens whose probabilities reach this sum */
  double min_p;              /* only tokens of at least this share of the best probability */
  double repetition_penalty; /* divides logits of recent tokens; 1 = none */
  int64_t repetition_window; /* how many tokens are recent */
  uint64_t seed;
} longwave_sampling;

/* Sets the defaults, which draw from the model's own distribution, and the size. */
LONGWAVE_C_API void longwave_sampling_init_sized(longwave_sampling* sampling, size_t struct_size);
#define longwave_sampling_init(sampling) \
  longwave_sampling_init_sized((sampling), sizeof(longwave_sampling))

LONGWAVE_C_API longwave_status longwave_sampler_create(const longwave_sampling* sampling,
                                                       longwave_sampler** sampler);
/* The next token; it counts as recent from now on. */
LONGWAVE_C_API longwave_status longwave_sampler_next(longwave_sampler* sampler, const float* logits,
                                                     size_t count, int64_t* id);
/* Makes a token recent, as those of a prompt are. */
LONGWAVE_C_API longwave_status longwave_sampler_observe(longwave_sampler* sampler, int64_t id);
LONGWAVE_C_API void longwave_sampler_free(longwave_sampler* sampler);

/* Sees each token as it is drawn, with the text that can be shown now: whole characters, `bytes` of
 * them, not ended by a zero. The last call has id -1 and the text that was held back. Returning 0
 * ends the answer. It must not use the session, and no exception may leave it. */
typedef int (*longwave_token_sink)(void* user, int64_t id, const char* text, size_t bytes);

/* Feeds the prompt, then draws at most `most` tokens, each fed back but the last, and ends after a
 * special token, such as the end of a text. `drawn` gets how many were drawn, and may be NULL. */
LONGWAVE_C_API longwave_status longwave_generate(longwave_session* session, const int64_t* prompt,
                                                 size_t prompt_size,
                                                 const longwave_sampling* sampling, int64_t most,
                                                 longwave_token_sink sink, void* user,
                                                 int64_t* drawn);

#ifdef __cplusplus
}
#endif

#endif /* LONGWAVE_LONGWAVE_C_H_ */
