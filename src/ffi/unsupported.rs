//! What is not built yet, in one place: each answers CKR_FUNCTION_NOT_SUPPORTED.
//!
//! To build one: write it in its file and delete its line here.

use super::c_functions;
use crate::error::Error;
use cryptoki_sys::*;

macro_rules! not_supported {
    ($($name:ident($($type:ty),*);)*) => {
        $(not_supported!(@one $name [$($type),*] [a b c d e f g h i j] []);)*
    };
    (@one $name:ident [] [$($spare:ident)*] [$($argument:ident: $type:ty,)*]) => {
        c_functions! { fn $name($($argument: $type),*) |_| {
            $(let _ = $argument;)*
            Err(Error::FunctionNotSupported)
        } }
    };
    (@one $name:ident [$first:ty $(, $rest:ty)*] [$next:ident $($spare:ident)*] [$($done:tt)*]) => {
        not_supported!(@one $name [$($rest),*] [$($spare)*] [$($done)* $next: $first,]);
    };
}

not_supported! {
    C_DigestEncryptUpdate(CK_SESSION_HANDLE, *mut CK_BYTE, CK_ULONG, *mut CK_BYTE, *mut CK_ULONG);
    C_DecryptDigestUpdate(CK_SESSION_HANDLE, *mut CK_BYTE, CK_ULONG, *mut CK_BYTE, *mut CK_ULONG);
    C_SignEncryptUpdate(CK_SESSION_HANDLE, *mut CK_BYTE, CK_ULONG, *mut CK_BYTE, *mut CK_ULONG);
    C_DecryptVerifyUpdate(CK_SESSION_HANDLE, *mut CK_BYTE, CK_ULONG, *mut CK_BYTE, *mut CK_ULONG);
    C_AsyncComplete(CK_SESSION_HANDLE, *mut CK_UTF8CHAR, *mut CK_ASYNC_DATA);
    C_AsyncGetID(CK_SESSION_HANDLE, *mut CK_UTF8CHAR, *mut CK_ULONG);
    C_AsyncJoin(CK_SESSION_HANDLE, *mut CK_UTF8CHAR, CK_ULONG, *mut CK_BYTE, CK_ULONG);
    C_WrapKeyAuthenticated(CK_SESSION_HANDLE, *mut CK_MECHANISM, CK_OBJECT_HANDLE, CK_OBJECT_HANDLE, *mut CK_BYTE, CK_ULONG, *mut CK_BYTE, *mut CK_ULONG);
    C_UnwrapKeyAuthenticated(CK_SESSION_HANDLE, *mut CK_MECHANISM, CK_OBJECT_HANDLE, *mut CK_BYTE, CK_ULONG, *mut CK_ATTRIBUTE, CK_ULONG, *mut CK_BYTE, CK_ULONG, *mut CK_OBJECT_HANDLE);
}
