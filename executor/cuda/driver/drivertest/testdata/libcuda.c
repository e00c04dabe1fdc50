// A driver for tests, in host memory. Work in a stream is done as late as the
// rules allow, when something waits for it, or with FAKE_CUDA_EARLY set, copies
// as early as they allow, so that a forgotten wait shows as wrong numbers.
// Each call of interest is a line of the file FAKE_CUDA_LOG.
//
// A kernel's name ends in the types of its parameters: p pointer, i int, f float.

#include <cuda.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define MOST 1000

static const size_t total_bytes = 2000000;
static size_t free_bytes = 1900000;
static int live; // what was made and not given back
static CUresult broken;
static __thread CUcontext current;

static void record(const char *format, ...)
{
	static FILE *log;
	if (!log) {
		log = fopen(getenv("FAKE_CUDA_LOG"), "a");
		setvbuf(log, NULL, _IONBF, 0);
	}
	va_list args;
	va_start(args, format);
	vfprintf(log, format, args);
	va_end(args);
	fputc('\n', log);
}

static int number(const char *variable, int otherwise)
{
	const char *text = getenv(variable);
	return text ? atoi(text) : otherwise;
}

#define USABLE                                       \
	do {                                         \
		if (!current)                        \
			return CUDA_ERROR_INVALID_CONTEXT; \
		if (broken)                          \
			return broken;               \
	} while (0)

// Errors, driver, devices.

CUresult cuGetErrorName(CUresult code, const char **name)
{
	*name = code == 700 ? "CUDA_ERROR_ILLEGAL_ADDRESS" : code == 218 ? "CUDA_ERROR_INVALID_PTX" : NULL;
	return *name ? 0 : CUDA_ERROR_INVALID_VALUE;
}

CUresult cuGetErrorString(CUresult code, const char **text)
{
	*text = code == 700 ? "an illegal memory access was encountered" : code == 218 ? "a PTX JIT compilation failed" : NULL;
	return *text ? 0 : CUDA_ERROR_INVALID_VALUE;
}

CUresult cuInit(unsigned flags) { record("init %u", flags); return number("FAKE_CUDA_INIT", 0); }
CUresult cuDriverGetVersion(int *v) { *v = 12090; return 0; }
CUresult cuDeviceGetCount(int *n) { *n = number("FAKE_CUDA_DEVICES", 2); return 0; }
CUresult cuDeviceGet(CUdevice *d, int i) { *d = i; return 0; }
CUresult cuDeviceGetName(char *name, int size, CUdevice d) { snprintf(name, size, "Fake %d", d); return 0; }

CUresult cuDeviceGetAttribute(int *value, CUdevice_attribute a, CUdevice d)
{
	switch (a) {
	case CU_DEVICE_ATTRIBUTE_COMPUTE_CAPABILITY_MAJOR: *value = 9; return 0;
	case CU_DEVICE_ATTRIBUTE_COMPUTE_CAPABILITY_MINOR: *value = 0; return 0;
	case CU_DEVICE_ATTRIBUTE_MULTIPROCESSOR_COUNT: *value = 132; return 0;
	case CU_DEVICE_ATTRIBUTE_MAX_SHARED_MEMORY_PER_BLOCK_OPTIN: *value = 232448; return 0;
	default: return CUDA_ERROR_INVALID_VALUE;
	}
}

CUresult cuDevicePrimaryCtxRetain(CUcontext *c, CUdevice d) { broken = live = 0; *c = (CUcontext)(uintptr_t)(256 + d); return 0; }
CUresult cuDevicePrimaryCtxRelease_v2(CUdevice d) { record("release %d live %d", d, live); return 0; }
CUresult cuCtxSetCurrent(CUcontext c) { current = c; return 0; }

// Memory.

CUresult cuMemGetInfo_v2(size_t *left, size_t *all) { USABLE; *left = free_bytes; *all = total_bytes; return 0; }

CUresult cuMemAlloc_v2(CUdeviceptr *at, size_t bytes)
{
	USABLE;
	if (bytes > free_bytes)
		return CUDA_ERROR_OUT_OF_MEMORY;
	void *p = aligned_alloc(256, (bytes + 255) / 256 * 256);
	memset(p, 0xff, bytes);
	*at = (CUdeviceptr)p;
	live++;
	return 0;
}

CUresult cuMemFree_v2(CUdeviceptr at) { USABLE; free((void *)at); live--; return 0; }

CUresult cuMemHostAlloc(void **p, size_t bytes, unsigned flags)
{
	USABLE;
	if (bytes > 1 << 30)
		return CUDA_ERROR_OUT_OF_MEMORY;
	*p = malloc(bytes);
	live++;
	return 0;
}

CUresult cuMemFreeHost(void *p) { USABLE; free(p); live--; return 0; }

// Code.

typedef struct {
	char name[100];
	int shared;
} Kernel;

CUresult cuModuleLoadDataEx(CUmodule *m, const void *image, unsigned n, CUjit_option *options, void **values)
{
	USABLE;
	if (strncmp(image, "bad", 3) == 0) {
		for (unsigned i = 0; i + 1 < n; i++)
			if (options[i] == CU_JIT_ERROR_LOG_BUFFER)
				snprintf(values[i], (uintptr_t)values[i + 1], "line 1; syntax error\n");
		return CUDA_ERROR_INVALID_PTX;
	}
	if (strncmp(image, "new", 3) == 0)
		return CUDA_ERROR_UNSUPPORTED_PTX_VERSION;
	*m = (CUmodule)strdup(image);
	live++;
	return 0;
}

CUresult cuModuleGetGlobal_v2(CUdeviceptr *at, size_t *bytes, CUmodule m, const char *name)
{
	USABLE;
	return strstr((char *)m, name) ? 0 : CUDA_ERROR_NOT_FOUND;
}

CUresult cuModuleUnload(CUmodule m) { USABLE; free(m); live--; return 0; }

CUresult cuModuleGetFunction(CUfunction *f, CUmodule m, const char *name)
{
	USABLE;
	if (!strstr((char *)m, name))
		return CUDA_ERROR_NOT_FOUND;
	Kernel *k = calloc(1, sizeof(Kernel));
	snprintf(k->name, sizeof k->name, "%s", name);
	k->shared = 48 << 10;
	*f = (CUfunction)k;
	return 0;
}

CUresult cuFuncSetAttribute(CUfunction f, CUfunction_attribute a, int value)
{
	USABLE;
	if (a != CU_FUNC_ATTRIBUTE_MAX_DYNAMIC_SHARED_SIZE_BYTES)
		return CUDA_ERROR_INVALID_VALUE;
	((Kernel *)f)->shared = value;
	return 0;
}

// Streams, events, graphs.

typedef enum { COPY, LAUNCH, GRAPH, RECORD, WAIT } Kind;
typedef struct Graph Graph;
typedef struct Stream Stream;

typedef struct {
	Kind kind;
	void *to;
	const void *from;
	size_t bytes;
	Kernel *kernel;
	uint64_t args[20];
	Graph *graph;
	Stream *stream; // of the record that is waited for
	int until;      // where in it
} Item;

struct Graph {
	Item items[MOST];
	int count;
};

struct Stream {
	Item items[MOST];
	int count, done;
	Graph *capture;
};

typedef struct {
	Stream *stream;
	int until;
} Event;

static void run(Stream *s, int until);

static void launch(Item *item)
{
	uint64_t *a = item->args;
	if (strncmp(item->kernel->name, "axpy_", 5) == 0) { // y += a x
		float scale, *y = (float *)a[0], *x = (float *)a[1];
		memcpy(&scale, &a[3], 4);
		for (int i = 0; i < (int)a[2]; i++)
			y[i] += scale * x[i];
	} else if (strncmp(item->kernel->name, "crash_", 6) == 0)
		broken = CUDA_ERROR_ILLEGAL_ADDRESS;
}

static void perform(Item *item)
{
	switch (item->kind) {
	case COPY: memmove(item->to, item->from, item->bytes); break;
	case LAUNCH: launch(item); break;
	case WAIT: run(item->stream, item->until); break;
	case RECORD: break;
	case GRAPH:
		for (int i = 0; i < item->graph->count; i++)
			perform(&item->graph->items[i]);
	}
}

static void run(Stream *s, int until)
{
	while (s->done < until)
		perform(&s->items[s->done++]);
}

// early does what may be done before anything waits: copies, up to a kernel.
static void early(Stream *s)
{
	for (; s->done < s->count; s->done++) {
		Item *i = &s->items[s->done];
		if (i->kind == GRAPH || i->kind == LAUNCH || i->kind == WAIT && i->stream->done < i->until)
			return;
		if (i->kind == COPY)
			perform(i);
	}
}

static CUresult put(CUstream stream, Item item)
{
	USABLE;
	Stream *s = (Stream *)stream;
	if (s->capture) {
		s->capture->items[s->capture->count++] = item;
		return 0;
	}
	if (s->count == MOST)
		abort();
	s->items[s->count++] = item;
	if (number("FAKE_CUDA_EARLY", 0))
		early(s);
	return 0;
}

CUresult cuStreamCreate(CUstream *s, unsigned flags)
{
	USABLE;
	record("stream %u", flags);
	*s = calloc(1, sizeof(Stream));
	live++;
	return 0;
}

CUresult cuStreamDestroy_v2(CUstream s) { USABLE; free(s); live--; return 0; }
CUresult cuStreamSynchronize(CUstream s) { USABLE; run((Stream *)s, ((Stream *)s)->count); return broken; }

CUresult cuEventCreate(CUevent *e, unsigned flags) { USABLE; record("event %u", flags); *e = calloc(1, sizeof(Event)); live++; return 0; }
CUresult cuEventDestroy_v2(CUevent e) { USABLE; free(e); live--; return 0; }

CUresult cuEventRecord(CUevent e, CUstream s)
{
	CUresult code = put(s, (Item){.kind = RECORD});
	*(Event *)e = (Event){(Stream *)s, ((Stream *)s)->count};
	return code;
}

CUresult cuEventSynchronize(CUevent e)
{
	USABLE;
	if (((Event *)e)->stream)
		run(((Event *)e)->stream, ((Event *)e)->until);
	return broken;
}

CUresult cuStreamWaitEvent(CUstream s, CUevent e, unsigned flags)
{
	Event at = *(Event *)e;
	return at.stream ? put(s, (Item){.kind = WAIT, .stream = at.stream, .until = at.until}) : 0;
}

static CUresult copy(CUstream s, void *to, const void *from, size_t bytes)
{
	return put(s, (Item){.kind = COPY, .to = to, .from = from, .bytes = bytes});
}

CUresult cuMemcpyHtoDAsync_v2(CUdeviceptr to, const void *from, size_t bytes, CUstream s) { return copy(s, (void *)to, from, bytes); }
CUresult cuMemcpyDtoHAsync_v2(void *to, CUdeviceptr from, size_t bytes, CUstream s) { return copy(s, to, (void *)from, bytes); }
CUresult cuMemcpyDtoDAsync_v2(CUdeviceptr to, CUdeviceptr from, size_t bytes, CUstream s) { return copy(s, (void *)to, (void *)from, bytes); }

static CUresult start(int early, CUfunction f, unsigned gx, unsigned gy, unsigned gz, unsigned bx, unsigned by, unsigned bz, unsigned shared,
	CUstream s, void **params, void **extra)
{
	Kernel *k = (Kernel *)f;
	if ((int)shared > k->shared)
		return CUDA_ERROR_INVALID_VALUE;
	Item item = {.kind = LAUNCH, .kernel = k};
	char text[400] = "";
	const char *types = strrchr(k->name, '_') + 1;
	for (int i = 0; types[i]; i++) { // as many as the kernel declares, each of its size
		memcpy(&item.args[i], params[i], types[i] == 'p' ? 8 : 4);
		sprintf(text + strlen(text), " %llx", (unsigned long long)item.args[i]);
	}
	record("launch %s%s grid %u %u %u block %u %u %u shared %u extra %d args%s", early ? "early " : "", k->name, gx, gy, gz, bx, by, bz, shared, extra != NULL, text);
	return put(s, item);
}

CUresult cuLaunchKernel(CUfunction f, unsigned gx, unsigned gy, unsigned gz, unsigned bx, unsigned by, unsigned bz, unsigned shared,
	CUstream s, void **params, void **extra)
{
	return start(0, f, gx, gy, gz, bx, by, bz, shared, s, params, extra);
}

CUresult cuLaunchKernelEx(const CUlaunchConfig *c, CUfunction f, void **params, void **extra)
{
	if (c->numAttrs != 1 || c->attrs[0].id != CU_LAUNCH_ATTRIBUTE_PROGRAMMATIC_STREAM_SERIALIZATION || !c->attrs[0].value.programmaticStreamSerializationAllowed)
		return CUDA_ERROR_INVALID_VALUE;
	return start(1, f, c->gridDimX, c->gridDimY, c->gridDimZ, c->blockDimX, c->blockDimY, c->blockDimZ, c->sharedMemBytes, c->hStream, params, extra);
}

CUresult cuStreamBeginCapture_v2(CUstream s, CUstreamCaptureMode mode)
{
	USABLE;
	record("capture mode %d", mode);
	((Stream *)s)->capture = calloc(1, sizeof(Graph));
	live++;
	return 0;
}

CUresult cuStreamEndCapture(CUstream s, CUgraph *g)
{
	USABLE;
	*g = (CUgraph)((Stream *)s)->capture;
	((Stream *)s)->capture = NULL;
	return 0;
}

CUresult cuGraphInstantiateWithFlags(CUgraphExec *e, CUgraph g, unsigned long long flags)
{
	USABLE;
	record("instantiate %d flags %llu", ((Graph *)g)->count, flags);
	*e = malloc(sizeof(Graph));
	memcpy(*e, g, sizeof(Graph));
	live++;
	return 0;
}

CUresult cuGraphDestroy(CUgraph g) { USABLE; free(g); live--; return 0; }
CUresult cuGraphExecDestroy(CUgraphExec e) { USABLE; free(e); live--; return 0; }
CUresult cuGraphLaunch(CUgraphExec e, CUstream s) { return put(s, (Item){.kind = GRAPH, .graph = (Graph *)e}); }

// What no one here calls, for its arguments.

CUresult cuTexRefSetMipmapLevelClamp(CUtexref t, float low, float high) { record("clamp %p %g %g", (void *)t, low, high); return 0; }

CUresult cuMemsetD2D8Async(CUdeviceptr at, size_t pitch, unsigned char c, size_t width, size_t height, CUstream s)
{
	record("memset %llx %zu %u %zu %zu %p", at, pitch, c, width, height, (void *)s);
	return 0;
}

CUresult cuMemAllocPitch_v2(CUdeviceptr *at, size_t *pitch, size_t width, size_t height, unsigned element)
{
	record("pitch %zu %zu %u", width, height, element);
	*at = 0x123456789a;
	*pitch = 77;
	return 0;
}
