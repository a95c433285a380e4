/*
 * A PKCS#11 module in front of another: it passes every call on, and writes down how each log-in was answered.
 * COUNTED_MODULE is the other one's path, COUNTED_LOGINS the file, with one CK_RV in hexadecimal a line.
 */
#include <dlfcn.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>

typedef unsigned long CK_ULONG;
typedef CK_ULONG CK_RV;

/* CK_FUNCTION_LIST of PKCS#11 2.40: a version, and 68 functions. */
struct functions {
    unsigned char version[2];
    void *function[68];
};

enum { GET_FUNCTION_LIST = 3, LOGIN = 18 };

static CK_RV (*their_login)(CK_ULONG session, CK_ULONG user, unsigned char *pin, CK_ULONG length);
static struct functions ours;

static CK_RV counted_login(CK_ULONG session, CK_ULONG user, unsigned char *pin, CK_ULONG length) {
    CK_RV answer = their_login(session, user, pin, length);
    FILE *logins = fopen(getenv("COUNTED_LOGINS"), "a");
    if (logins == NULL || fprintf(logins, "0x%lx\n", answer) < 0 || fclose(logins) != 0)
        abort();
    return answer;
}

CK_RV C_GetFunctionList(struct functions **list) {
    if (their_login == NULL) {
        void *module = dlopen(getenv("COUNTED_MODULE"), RTLD_NOW | RTLD_LOCAL);
        CK_RV (*their_list)(struct functions **) = module ? dlsym(module, "C_GetFunctionList") : NULL;
        struct functions *theirs;
        if (their_list == NULL || their_list(&theirs) != 0)
            abort();
        ours = *theirs;
        their_login = theirs->function[LOGIN];
        ours.function[LOGIN] = counted_login;
        ours.function[GET_FUNCTION_LIST] = C_GetFunctionList;
    }
    *list = &ours;
    return 0;
}
