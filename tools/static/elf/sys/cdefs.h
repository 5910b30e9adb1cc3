#pragma once
/* glibc's, which musl does not have */
#define __BEGIN_DECLS
#define __END_DECLS
