//go:build cuda && linux && amd64

// The functions of the CUDA driver, each a jump to where its table entry
// points. A jump leaves registers and stack as they are, so that arguments of
// every number and type arrive unchanged. See doc.go.

#include <cuda.h>
#include <dlfcn.h>
#include <stdio.h>

#include "shim.h"

// cuda.h makes of some names those of later versions; where a macro hands its
// argument on, that has happened.
#define TEXT_OF(name) #name
#define TEXT(name) TEXT_OF(name)

enum {
#define SYMBOL(i, name) INDEX_##name = i,
#include "symbols.h"
#undef SYMBOL
	COUNT
};

static const char *const names[COUNT] = {
#define SYMBOL(i, name) TEXT(name),
#include "symbols.h"
#undef SYMBOL
};

static CUresult not_initialized(void) { return CUDA_ERROR_NOT_INITIALIZED; }
static CUresult not_in_this_driver(void) { return CUDA_ERROR_NOT_FOUND; }
static CUresult later(void) { return CUDA_SUCCESS; }

__attribute__((visibility("hidden"), used)) void *etc_driver_table[COUNT] = {
#define SYMBOL(i, name) [i] = i == INDEX_cuInit ? (void *)later : (void *)not_initialized,
#include "symbols.h"
#undef SYMBOL
};

// hidden: the driver's library must find its own functions, not these.
#define SYMBOL(i, name)                                    \
	__asm__(".text\n"                                  \
		".globl " TEXT(name) "\n"                  \
		".hidden " TEXT(name) "\n"                 \
		".type " TEXT(name) ", @function\n"        \
		TEXT(name) ":\n"                           \
		"\tjmp *etc_driver_table+8*" #i "(%rip)\n" \
		".size " TEXT(name) ", .-" TEXT(name) "\n");
#include "symbols.h"
#undef SYMBOL

int etc_driver_load(char *why, int size)
{
	static void *library;
	if (library)
		return 1;
	library = dlopen("libcuda.so.1", RTLD_NOW | RTLD_LOCAL);
	if (!library) {
		snprintf(why, size, "%s", dlerror());
		return 0;
	}
	for (int i = 0; i < COUNT; i++) {
		void *f = dlsym(library, names[i]);
		etc_driver_table[i] = f ? f : (void *)not_in_this_driver;
	}
	return 1;
}
