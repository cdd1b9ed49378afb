/* Stands in for libedgetpu.so.1 where there is no Edge TPU.
 *
 * It has the library's interface: `tflite_plugin_create_delegate` for the runtimes, and
 * `edgetpu_list_devices` and `edgetpu_version` for whoever asks what is there. As a delegate it
 * takes over the operator that models for an Edge TPU consist of. What it then does, the file
 * `orders` beside it says, or the one that EDGE_TPU_STAND_IN names; it is read whenever something
 * is to be done, one word and its value per line:
 *
 *   devices N        how many Edge TPUs there are (1), all on USB; the name of the file with
 *                    .usb0, .usb1 and so on stands for their places in the system
 *   take all         it takes over every operator, as one for GPUs would
 *   list crash       the process ends when it asks for the devices
 *   list hang        nobody ever hears of it again
 *   create refuse    no device can be opened
 *   create crash     the process ends, as with a library that does not fit the runtime
 *   create hang      nobody ever hears of it again
 *   prepare fail     the model cannot be brought to the device
 *   reborn yes       its place in the system is a new one after the first inference, as of a
 *                    device that gets its firmware then
 *   invoke_ms N      how long an inference takes, without the processor (0)
 *   invoke fail      the device reports an error
 *   invoke hang      nobody ever hears of it again
 *   invoke crash     the process ends
 *   invoke garbage   the results are noise
 *   answer FILE      the results: the outputs' bytes one after another; else, where input and
 *                    output have the same size, the input itself
 *   chatter TEXT     said on standard error by every inference
 *
 * `hang SERIAL`, `fail SERIAL` and so on (`invoke hang 0`) are for one device only.
 *
 * The structures below are those of TensorFlow Lite's C interface, as far as they are needed,
 * which has kept their layout since 2.3.
 */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <time.h>
#include <unistd.h>

typedef struct { int size; int data[]; } IntArray;

typedef struct {
  int type;
  void *data;
  IntArray *dims;
  struct { float scale; int32_t zero_point; } params;
  int allocation_type;
  size_t bytes;
  const void *allocation;
  const char *name;
  void *delegate;
  int buffer_handle;
  bool data_is_stale, is_variable;
  struct { int type; void *params; } quantization;
  void *sparsity;
  const IntArray *dims_signature;
} Tensor;

typedef struct {
  IntArray *inputs, *outputs, *intermediates, *temporaries;
  void *user_data, *builtin_data;
  const void *custom_initial_data;
  int custom_initial_data_size;
  void *delegate;
} Node;

typedef struct Context Context;

typedef struct {
  void *(*init)(Context *, const char *buffer, size_t length);
  void (*free)(Context *, void *buffer);
  int (*prepare)(Context *, Node *);
  int (*invoke)(Context *, Node *);
  const char *(*profiling_string)(const Context *, const Node *);
  int32_t builtin_code;
  const char *custom_name;
  int version;
  void *later_fields[8];
} Registration;

typedef struct Delegate {
  void *data;
  int (*prepare)(Context *, struct Delegate *);
  void *copy_from_buffer, *copy_to_buffer, *free_buffer;
  int64_t flags;
  void *later_fields[4];
} Delegate;

struct Context {
  size_t tensors_size;
  int (*get_execution_plan)(Context *, IntArray **);
  Tensor *tensors;
  void *implementation;
  int (*resize_tensor)(Context *, Tensor *, IntArray *);
  void (*report_error)(Context *, const char *format, ...);
  int (*add_tensors)(Context *, int, int *);
  int (*get_node)(Context *, int index, Node **, Registration **);
  int (*replace_nodes)(Context *, Registration, const IntArray *, Delegate *);
};

typedef struct { Delegate *delegate; } DelegateParams;

struct Device { int type; const char *path; };

enum { OK = 0, FAILED = 1, USB = 1, MOST = 8 };

/* Else the runtime would prepare the operator itself first, which it does not have. */
enum { ALLOW_DYNAMIC_TENSORS = 1 };

static _Thread_local char orders[8192], value_of[256];

/* The file with the orders; what follows its name stands for devices. */
static const char *path_of_orders(void) {
  static _Thread_local char path[512];
  const char *named = getenv("EDGE_TPU_STAND_IN");
  if (named) return named;
  Dl_info self;
  if (!dladdr((const void *)&path_of_orders, &self)) return "";
  const char *slash = strrchr(self.dli_fname, '/');
  int length = slash ? (int)(slash - self.dli_fname) + 1 : 0;
  snprintf(path, sizeof path, "%.*sorders", length, self.dli_fname);
  return path;
}

/* Read the file. */
static void listen_to_orders(void) {
  int file = open(path_of_orders(), O_RDONLY | O_CLOEXEC);
  ssize_t length = file < 0 ? 0 : read(file, orders, sizeof orders - 1);
  orders[length < 0 ? 0 : length] = '\0';
  if (file >= 0) close(file);
}

/* The value of a word for one device; NULL if nothing was ordered. */
static const char *told(const char *word, long serial) {
  const char *found = NULL;
  size_t length = strlen(word);
  for (const char *line = orders; *line; line += strcspn(line, "\n"), line += *line == '\n') {
    if (strncmp(line, word, length) || line[length] != ' ') continue;
    size_t rest = strcspn(line += length + 1, "\n");
    char value[sizeof value_of];
    if (rest >= sizeof value) abort();
    memcpy(value, line, rest);
    value[rest] = '\0';
    char *space = strchr(value, ' ');
    if (strcmp(word, "chatter") && space) {
      *space = '\0';
      if (strtol(space + 1, NULL, 10) != serial) continue;
    }
    /* A later line that is for another device must not overwrite it. */
    found = strcpy(value_of, value);
  }
  return found;
}

static bool is_told(const char *word, const char *value, long serial) {
  const char *said = told(word, serial);
  return said && !strcmp(said, value);
}

static void hang(void) {
  for (;;) pause();
}

/* Have one device work for so long, after all that it was given before: as the real one, it has a
 * queue. The kernel is asked not to add its usual slack. */
static void work(double ms, long serial) {
  static pthread_mutex_t mutex = PTHREAD_MUTEX_INITIALIZER;
  static long long free_ns[2 * MOST];
  struct timespec now;
  pthread_mutex_lock(&mutex);
  clock_gettime(CLOCK_MONOTONIC, &now);
  long long ns = now.tv_sec * 1000000000LL + now.tv_nsec, *free = &free_ns[serial % (2 * MOST)];
  ns = (*free > ns ? *free : ns) + (long long)(ms * 1e6);
  *free = ns;
  pthread_mutex_unlock(&mutex);
  struct timespec until = {ns / 1000000000, ns % 1000000000};
  prctl(PR_SET_TIMERSLACK, 1);
  while (clock_nanosleep(CLOCK_MONOTONIC, TIMER_ABSTIME, &until, NULL) == EINTR) {}
}

static void *init(Context *context, const char *buffer, size_t length) {
  (void)context, (void)length;
  return ((const DelegateParams *)(const void *)buffer)->delegate->data;
}

static int prepare_node(Context *context, Node *node) {
  listen_to_orders();
  if (is_told("prepare", "fail", (long)node->user_data)) {
    context->report_error(context, "Failed to prepare for TPU. Could not map the parameters.");
    return FAILED;
  }
  return OK;
}

static void play(Context *context, const Node *node, FILE *file) {
  for (int i = 0; i < node->outputs->size; i++) {
    Tensor *output = &context->tensors[node->outputs->data[i]];
    if (fread(output->data, 1, output->bytes, file) != output->bytes) abort();
  }
  fclose(file);
}

static void echo(Context *context, const Node *node) {
  const Tensor *input = &context->tensors[node->inputs->data[0]];
  Tensor *output = &context->tensors[node->outputs->data[0]];
  memcpy(output->data, input->data, input->bytes < output->bytes ? input->bytes : output->bytes);
}

static void garbage(Context *context, const Node *node) {
  for (int i = 0; i < node->outputs->size; i++) {
    Tensor *output = &context->tensors[node->outputs->data[i]];
    for (size_t at = 0; at < output->bytes; at++) ((char *)output->data)[at] = (char)rand();
  }
}

static void be_born_again(long serial) {
  static bool born[2 * MOST];
  char path[512];
  if (born[serial % (2 * MOST)]) return;
  born[serial % (2 * MOST)] = true;
  snprintf(path, sizeof path, "%s.usb%ld", path_of_orders(), serial);
  unlink(path);
  close(open(path, O_CREAT | O_WRONLY | O_CLOEXEC, 0644));
}

static int invoke(Context *context, Node *node) {
  listen_to_orders();
  long serial = (long)node->user_data;
  const char *said = told("chatter", serial);
  if (said) fprintf(stderr, "%s\n", said);
  if (is_told("invoke", "hang", serial)) hang();
  if (is_told("invoke", "crash", serial)) raise(SIGSEGV);
  bool fails = is_told("invoke", "fail", serial);
  if (is_told("invoke", "garbage", serial)) {
    garbage(context, node);
  } else if (!fails) {
    const char *answer = told("answer", serial);
    FILE *file = answer ? fopen(answer, "rb") : NULL;
    if (file) play(context, node, file);
    else echo(context, node);
  }
  if (is_told("reborn", "yes", serial)) be_born_again(serial);
  said = told("invoke_ms", serial);
  if (said) work(strtod(said, NULL), serial);
  if (fails)
    context->report_error(context, "Failed to execute request. USB transfer error 1 [LibUsbDataOutCallback]");
  return fails ? FAILED : OK;
}

static int take_over(Context *context, Delegate *delegate) {
  bool all = is_told("take", "all", (long)delegate->data);
  IntArray *plan;
  if (context->get_execution_plan(context, &plan)) return FAILED;
  IntArray *taken = malloc(sizeof *taken + plan->size * sizeof(int));
  taken->size = 0;
  for (int i = 0; i < plan->size; i++) {
    Node *node;
    Registration *operator;
    if (context->get_node(context, plan->data[i], &node, &operator)) return FAILED;
    if (all || (operator->custom_name && !strcmp(operator->custom_name, "edgetpu-custom-op")))
      taken->data[taken->size++] = plan->data[i];
  }
  Registration kernel = {.init = init, .prepare = prepare_node, .invoke = invoke,
                         .custom_name = "EdgeTpuDelegateForCustomOp", .version = 1};
  int status = taken->size ? context->replace_nodes(context, kernel, taken, delegate) : OK;
  free(taken);
  return status;
}

static long device_count(void) {
  listen_to_orders();
  const char *said = told("devices", -1);
  return said ? strtol(said, NULL, 10) : 1;
}

Delegate *tflite_plugin_create_delegate(char **keys, char **values, size_t count,
                                        void (*report_error)(const char *)) {
  long present = device_count(), serial = 0;
  for (size_t i = 0; i < count; i++) {
    if (strcmp(keys[i], "device")) continue;
    if (!strncmp(values[i], "pci", 3)) serial = MOST;
    const char *colon = strchr(values[i], ':');
    if (colon) serial += strtol(colon + 1, NULL, 10);
  }
  if (is_told("create", "hang", serial)) hang();
  if (is_told("create", "crash", serial)) raise(SIGSEGV);
  if (is_told("create", "refuse", serial) || serial >= present) {
    /* The library itself says nothing here, which leaves users with an empty error. */
    (void)report_error;
    return NULL;
  }
  Delegate *delegate = calloc(1, sizeof *delegate);
  delegate->data = (void *)serial;
  delegate->prepare = take_over;
  delegate->flags = ALLOW_DYNAMIC_TENSORS;
  return delegate;
}

void tflite_plugin_destroy_delegate(Delegate *delegate) { free(delegate); }

const char *edgetpu_version(void) {
  listen_to_orders();
  const char *said = told("version", -1);
  return said ? said : "BuildLabel(COMPILER=12.2.0,DATE=stand-in,TIME=now), RuntimeVersion(14)";
}

struct Device *edgetpu_list_devices(size_t *count) {
  static char paths[MOST][512];
  long present = device_count();
  if (is_told("list", "crash", -1)) raise(SIGSEGV);
  if (is_told("list", "hang", -1)) hang();
  *count = present < MOST ? (size_t)present : MOST;
  struct Device *devices = calloc(*count + 1, sizeof *devices);
  for (size_t i = 0; i < *count; i++) {
    snprintf(paths[i], sizeof paths[i], "%s.usb%zu", path_of_orders(), i);
    devices[i] = (struct Device){USB, paths[i]};
  }
  return devices;
}

void edgetpu_free_devices(struct Device *devices) { free(devices); }
