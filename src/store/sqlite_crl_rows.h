#pragma once

#include "store/store.h"

namespace soci {
class session;
}

/// CRLs as rows. May throw what SOCI throws.
namespace umbra::store {

void put_crl(soci::session& sql, const PutCrl& crl);
void put_crl_part(soci::session& sql, const PutCrlPart& part);

}  // namespace umbra::store
