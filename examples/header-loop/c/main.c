/* Sets a header of the request, reads it and takes it away again, twenty times over. It is there to be measured. */

#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#define HOST(name) __attribute__((import_module("env"), import_name(#name))) extern uint32_t name
#define CALLBACK(name) __attribute__((export_name(#name)))

/* Proxy-Wasm ABI 0.2.1 */
enum { OK = 0, CONTINUE = 0, ERROR = 4, REQUEST_HEADERS = 0, RESPONSE_HEADERS = 2 };

HOST(proxy_log)(uint32_t level, const char *message, size_t size);
HOST(proxy_get_header_map_value)(uint32_t map, const char *name, size_t name_size, char **value, size_t *size);
HOST(proxy_replace_header_map_value)
(uint32_t map, const char *name, size_t name_size, const char *value, size_t value_size);
HOST(proxy_remove_header_map_value)(uint32_t map, const char *name, size_t name_size);

static const int rounds = 20;
static const char name[] = "x-header-loop";
static const char value[] = "there and back";
static const char version_header[] = "x-header-loop-version";
static const char lost[] = "the header does not read as it was set";

/* What sizeof has besides is the NUL. */
#define SIZE(text) (sizeof(text) - 1)

CALLBACK(proxy_abi_version_0_2_1) void abi(void) {}

/* The host puts what it hands over here, and leaves it to us. */
CALLBACK(proxy_on_memory_allocate) void *allocate(size_t size) { return malloc(size); }

CALLBACK(proxy_on_request_headers) uint32_t on_request_headers(uint32_t context, uint32_t count, uint32_t last) {
  for (int round = 0; round < rounds; ++round) {
    char *found = NULL;
    size_t size = 0;
    proxy_replace_header_map_value(REQUEST_HEADERS, name, SIZE(name), value, SIZE(value));
    uint32_t status = proxy_get_header_map_value(REQUEST_HEADERS, name, SIZE(name), &found, &size);
    if (status != OK || size != SIZE(value) || memcmp(found, value, size) != 0)
      proxy_log(ERROR, lost, SIZE(lost));
    free(found);
    proxy_remove_header_map_value(REQUEST_HEADERS, name, SIZE(name));
  }
  return CONTINUE;
}

CALLBACK(proxy_on_response_headers) uint32_t on_response_headers(uint32_t context, uint32_t count, uint32_t last) {
  proxy_replace_header_map_value(RESPONSE_HEADERS, version_header, SIZE(version_header), "c", 1);
  return CONTINUE;
}
