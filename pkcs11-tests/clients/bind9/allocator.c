/* BIND's jemalloc calls over libc's allocator: see `run`. Alignment and arenas are not asked for by BIND. */
#include <malloc.h>
#include <stdlib.h>
#include <string.h>

#define ZERO 0x40

void *mallocx(size_t size, int flags) { return flags & ZERO ? calloc(1, size) : malloc(size); }

void *rallocx(void *old, size_t size, int flags) {
    size_t before = malloc_usable_size(old);
    char *new = realloc(old, size);
    if (new != NULL && flags & ZERO && size > before) memset(new + before, 0, size - before);
    return new;
}

void sdallocx(void *old, size_t size, int flags) { (void)size, (void)flags, free(old); }
void dallocx(void *old, int flags) { (void)flags, free(old); }
size_t sallocx(const void *block, int flags) { return (void)flags, malloc_usable_size((void *)block); }
int mallctl(const char *name, void *old, size_t *old_size, void *new, size_t new_size) {
    (void)name, (void)old, (void)old_size, (void)new, (void)new_size;
    return 2;
}
